"""The upstream as far as lists go: it asks for them all the while."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import requests

from tests.harness.service import Service
from tests.torture.upstream import CALL_SECONDS

PAUSE = 0.2


class Polls:
    """Asks replicas for both lists, while it is entered; no list may leave out a job that stays in it."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        queued: Mapping[str, str],
        running: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> None:
        self.answers: Counter[str] = Counter()
        self.short: list[str] = []
        """What was left out."""
        self._urls = [service.url for service in services]
        self._stay = {"/queued": queued, "/running": running or {}}
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._poll, args=(path,)) for path in self._stay]

    def __enter__(self) -> Polls:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def told(self) -> str:
        """The answers, for people."""
        return ", ".join(f"{count} {answer}" for answer, count in sorted(self.answers.items()))

    def _poll(self, path: str) -> None:
        while not self._over.wait(PAUSE):
            try:
                reply = requests.get(self._chance.choice(self._urls) + path, timeout=CALL_SECONDS)
            except requests.RequestException as fault:
                in_time = not isinstance(fault, requests.Timeout)
                self.answers["no connection" if in_time else "no answer in time"] += 1
                continue
            self.answers[str(reply.status_code)] += 1
            if reply.ok:
                listed = {(name, job_id) for name, job_id in reply.json()}
                missing = sorted(set(self._stay[path].items()) - listed)
                if missing:
                    self.short.append(f"{path} of {len(listed)} jobs left out {missing}")
            elif reply.status_code < 500:
                self.short.append(f"{path} answered {reply.status_code} {reply.text.strip()}")
