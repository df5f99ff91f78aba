"""The downstream is killed again and again while jobs are sent: every name runs exactly once."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.torture.bed import USERS, Several, interfaces, service
from tests.torture.ledger import Ledger
from tests.torture.lists import Polls
from tests.torture.rounds import Round
from tests.torture.tally import Tally
from tests.torture.upstream import Upstream

CLIENTS = 8
_LIFE = (-2.3, 0.2)
"""Seconds from a submission's beginning to the kill, as powers of ten: from 5 ms to 1.6 s."""
_SENT_TWICE = 1 / 3
"""The share of names that are sent twice at the same time."""


@dataclass
class Killed:
    """What came of it."""

    interface: str
    replicas: int
    names: int
    kills: int = 0
    kills_in_submissions: int = 0
    """Of those, how many fell while the one that was killed had a name under way that had no id yet."""
    seconds: float = 0
    slowest: float = 0
    """Seconds of the submission's call that took longest."""
    answers: Counter[str] = field(default_factory=Counter)
    polls: str = ""
    tally: Tally = field(default_factory=Tally)
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures, for people."""
        sent = sum(self.answers.values())
        asked = ", ".join(f"{count} {answer}" for answer, count in sorted(self.answers.items()))
        return [
            f"{self.interface}, {self.replicas} replica(s): {self.names} names, {self.kills} kills "
            f"({self.kills_in_submissions} with a name under way that had no id yet) in {self.seconds:.0f} s",
            f"  {sent} requests ({asked}), the slowest {self.slowest:.1f} s; polls: {self.polls}",
            f"  {self.tally.told()}",
        ]


def kills(
    interface: Interface, folder: Path, *, names: int, kills: int, replicas: int = 1, seed: int = 0
) -> Killed:
    """Kill a replica so often, at random moments, while so many names are sent."""
    services = [service(interface, folder / f"replica-{number}") for number in range(replicas)]
    ledger = Ledger(interface.cluster, "kills")
    upstream = Upstream([each.url for each in services], seed)
    result = Killed(interface.name, replicas, names)
    begun = time.monotonic()
    try:
        for each in services:
            each.start()
        forms = ledger.forms(names)
        held = [ledger.form_that_stays(user, held=True) for user in USERS]
        stay = {args["name"]: str(upstream.until_taken(args)) for args in held}
        killer = _Killer(services, upstream, random.Random(seed), kills, names)
        with Polls(services, queued=stay, seed=seed) as polls, ThreadPoolExecutor(CLIENTS + 1) as pool:
            killing = pool.submit(killer.work)
            sending = [pool.submit(killer.send, args) for args in forms]
            for work in [killing, *sending]:
                work.result()
            list(pool.map(upstream.until_taken, forms))  # all names are asked for again
        in_slurm = ledger.until_over(stay)
        result.tally = Tally.of([args["name"] for args in forms], upstream.given, ledger, in_slurm)
    finally:
        for each in services:
            each.stop(signal.SIGKILL)
        ledger.clear()
    result.kills, result.kills_in_submissions = killer.kills, killer.in_submissions
    result.seconds, result.slowest = time.monotonic() - begun, upstream.slowest
    result.answers, result.polls = upstream.answers, polls.told()
    result.broken = [*result.tally.broken, *upstream.refused, *polls.short]
    return result


class _Killer:
    """Lets a few more names be sent after each kill, so that all kills have something to meet."""

    def __init__(
        self, services: Sequence[Service], upstream: Upstream, chance: random.Random, kills: int, names: int
    ) -> None:
        self.kills = 0
        self.in_submissions = 0
        self._services = services
        self._upstream = upstream
        self._chance = chance
        self._wanted = kills
        self._names = names
        self._may_send = threading.Semaphore(0)

    def work(self) -> None:
        """All kills."""
        try:
            for kill in range(1, self._wanted + 1):
                due = self._names * kill // self._wanted - self._names * (kill - 1) // self._wanted
                for _ in range(due):
                    self._may_send.release()
                self._kill_one()
        finally:
            self._may_send.release(self._names)

    def send(self, args: Mapping[str, Any]) -> None:
        """A name, when its time has come; some are sent twice at the same time."""
        self._may_send.acquire()
        again = threading.Thread(target=self._upstream.until_taken, args=(args,))
        if self._chance.random() < _SENT_TWICE:
            again.start()
        self._upstream.until_taken(args)
        if again.ident:
            again.join()

    def _kill_one(self) -> None:
        busy = self._upstream.await_submission(2)
        time.sleep(10 ** self._chance.uniform(*_LIFE))
        asked = [service for service in self._services if service.url in busy]
        service = self._chance.choice(asked or self._services)
        self.in_submissions += self._upstream.asked(service.url) > 0
        service.stop(signal.SIGKILL)
        self.kills += 1
        service.start()


def _run(size: int, seed: int, folder: Path) -> Several:
    """Either interface, alone and with three replicas."""
    with interfaces("cli", "http") as ways:
        return Several(
            [
                kills(
                    way,
                    folder / f"{way.name}-{replicas}",
                    names=size * 3 // 2,
                    kills=size,
                    replicas=replicas,
                    seed=seed,
                )
                for replicas in (1, 3)
                for way in ways
            ]
        )


ROUND = Round(
    "kills",
    "Every name runs exactly once, however often the downstream is killed while it is sent.",
    200,
    "kills of one downstream and of three replicas, through either interface",
    _run,
    needs_cluster=True,
)
