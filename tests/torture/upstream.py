"""The upstream as far as submitting goes: it sends a form again and again until an id comes."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests

CALL_SECONDS = 20
"""What the upstream gives a call."""


class Upstream:
    """Asks one of several replicas, another one each time. Any thread may use it."""

    def __init__(self, urls: Sequence[str], seed: int, *, pause: float = 0.2) -> None:
        self.answers: Counter[str] = Counter()
        """Of submissions, by what came: a status, ``no connection`` or ``no answer in time``."""
        self.given: dict[str, set[str]] = defaultdict(set)
        """Every id that was ever given for a name."""
        self.refused: list[str] = []
        """Answers that the upstream would not ask again after, with the name."""
        self.slowest = 0.0
        """Seconds of the call that took longest."""
        self._urls = list(urls)
        self._chance = random.Random(seed)
        self._pause = pause
        self._under_way: Counter[str] = Counter()
        self._began = threading.Condition()

    def until_taken(self, form: Mapping[str, Any], *, seconds: float = 240) -> str | None:
        """The id, once it comes; None: it was refused, or did not come in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answered, text = self.submit(form)
            if answered == "200":
                return text
            if answered.startswith("4"):
                return None
            time.sleep(self._pause * (1 + self._chance.random()))
        self.refused.append(f"{form['name']}: no id in {seconds:.0f} s, at last {answered} {text}")
        return None

    def submit(self, form: Mapping[str, Any]) -> tuple[str, str]:
        """One call: what came, and the id or what was said."""
        url = self.replica()
        begun = time.monotonic()
        try:
            with self._counted(url, form["name"]):
                reply = requests.post(f"{url}/submit", data={"args": json.dumps(form)}, timeout=CALL_SECONDS)
        except requests.Timeout:
            answered, text = "no answer in time", url
        except requests.RequestException as fault:  # it was killed before it answered, or in the middle of it
            answered, text = "no connection", type(fault).__name__
        else:
            answered = str(reply.status_code)
            text = str(reply.json()[0]) if reply.ok else reply.text.strip()
        with self._began:
            self.answers[answered] += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if answered == "200":
                self.given[form["name"]].add(text)
            elif answered.startswith("4"):
                self.refused.append(f"{form['name']}: {answered} {text}")
        return answered, text

    def replica(self) -> str:
        """Who is asked next."""
        return self._chance.choice(self._urls)

    def asked(self, url: str) -> int:
        """How many names that have no id yet are under way at this replica."""
        with self._began:
            return self._under_way[url]

    def await_submission(self, seconds: float) -> list[str]:
        """The replicas that have such a name under way, once there is one, or after a while."""
        with self._began:
            self._began.wait_for(lambda: any(self._under_way.values()), seconds)
            return [url for url, count in self._under_way.items() if count]

    @contextmanager
    def _counted(self, url: str, name: str) -> Iterator[None]:
        with self._began:
            is_new = name not in self.given
            self._under_way[url] += is_new
            self._began.notify_all()
        try:
            yield
        finally:
            with self._began:
                self._under_way[url] -= is_new
