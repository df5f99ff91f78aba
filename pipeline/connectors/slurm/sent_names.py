"""What became of each name that was sent, so that none is sent twice."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import InDoubt
from pipeline.job import JobStatus, Phase
from pipeline.slurm.states import was_refused
from pipeline.turns import OneForAll, Turns

SETTLED_AFTER = 20
"""Seconds after which a request that was cut off is taken to have come to nothing, if Slurm has no job
of the name: twice the time that Slurm's daemons wait for each other (MessageTimeout, slurm.conf(5)).
They count from when slurmrestd answers again: what it was sent may wait in front of it until then."""

_LOOK_AGAIN = 1.0
"""Seconds between looks while requests of an earlier process of this service may still arrive."""

_MOST = 100_000
"""Names that are remembered."""

_Key = tuple[str, str]
"""The owner and the name."""


class SentNames:
    """The jobs that this process has sent, and those that Slurm had at its start.

    This holds for one downstream: it looks and then sends, and nothing on the cluster keeps another from
    doing the same. Should two jobs of a name start all the same, the second batch script ends at once.
    """

    def __init__(
        self,
        jobs: Callable[[], list[JobStatus]],
        answers: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``jobs`` gives every job that Slurm knows; ``answers`` raises Unavailable if slurmrestd is away."""
        self._jobs = jobs
        self._answers = answers
        self._clock = clock
        self._ids: OrderedDict[_Key, str] = OrderedDict()
        self._cut_off: OrderedDict[_Key, float | None] = OrderedDict()
        """When slurmrestd was first seen to answer after it; None: not yet."""
        self._turns = Turns()
        self._lock = threading.Lock()
        self._looking = OneForAll()
        self._answered: float | None = None
        """When slurmrestd first answered this process."""
        self._looked = float("-inf")

    @contextmanager
    def turn(self, owner: str, name: str) -> Iterator[str | None]:
        """Have this name for oneself; gives the id of its job when there is one already.

        Raises:
            InDoubt: a request with this name was cut off, and what became of it is not known yet.
        """
        with self._turns.of((owner, name)):
            yield self._id_of((owner, name))

    def sent(self, owner: str, name: str, job_id: str) -> None:
        """The job was accepted."""
        with self._lock:
            self._remember((owner, name), job_id)

    def cut_off(self, owner: str, name: str) -> None:
        """The request was sent, and its answer was not seen."""
        with self._lock:
            self._cut_off[owner, name] = None
            _shorten(self._cut_off)

    def _id_of(self, key: _Key) -> str | None:
        asked = self._clock()
        if self._must_look(key, asked):
            with self._looking.turn("which jobs there are is not known yet, ask again"):
                if self._must_look(key, asked):  # nobody has looked meanwhile
                    self._look()
        return self._found(key)

    def _must_look(self, key: _Key, asked: float) -> bool:
        """Whether Slurm may have a job of this name that is not known here."""
        with self._lock:
            if key in self._ids:
                return False
            if key in self._cut_off:
                return self._looked <= asked
            # An earlier process of this service may have sent it just before its end.
            is_new = self._answered is None or self._looked < self._answered + SETTLED_AFTER
            return is_new and self._clock() - self._looked >= _LOOK_AGAIN

    def _look(self) -> None:
        with self._lock:
            waiting = [key for key, since in self._cut_off.items() if since is None]
        self._answers()
        answered = self._clock()
        jobs = [job for job in self._jobs() if not was_refused(job.state, job.nodes)]
        # Of two jobs of a name the first one runs, and the other ends at once.
        jobs = sorted(jobs, key=lambda job: (job.phase is Phase.ENDED, int(job.job_id)))
        with self._lock:
            for key in waiting:
                self._cut_off[key] = answered
            for job in jobs:
                if (job.owner, job.name) not in self._ids:
                    self._remember((job.owner, job.name), job.job_id)
            if self._answered is None:
                self._answered = answered
            self._looked = answered

    def _found(self, key: _Key) -> str | None:
        with self._lock:
            if key in self._ids or key not in self._cut_off:
                return self._ids.get(key)
            since = self._cut_off[key]
            if since is not None and self._looked - since >= SETTLED_AFTER:
                del self._cut_off[key]
                return None
        raise InDoubt(
            "an earlier request of this name was cut off and may still be under way; "
            f"it is settled {SETTLED_AFTER} s after slurmrestd answers again"
        )

    def _remember(self, key: _Key, job_id: str) -> None:
        self._cut_off.pop(key, None)
        self._ids[key] = job_id
        self._ids.move_to_end(key)
        _shorten(self._ids)


def _shorten(names: OrderedDict[_Key, Any]) -> None:
    while len(names) > _MOST:
        names.popitem(last=False)
