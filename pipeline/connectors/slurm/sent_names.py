"""What became of each name that was sent, so that none is sent twice."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import Unavailable
from pipeline.job import JobStatus
from pipeline.turns import Turns

SETTLED_AFTER = 20
"""Seconds after which a request that was cut off is taken to have come to nothing, if Slurm has no job
of the name: twice the time that Slurm's daemons wait for each other (MessageTimeout, slurm.conf(5))."""

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
        self, jobs: Callable[[], list[JobStatus]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``jobs`` gives every job that Slurm knows."""
        self._jobs = jobs
        self._clock = clock
        self._ids: OrderedDict[_Key, str] = OrderedDict()
        self._cut_off: dict[_Key, float] = {}
        self._turns = Turns()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._has_looked = False

    @contextmanager
    def turn(self, owner: str, name: str) -> Iterator[str | None]:
        """Have this name for oneself; gives the id of its job when there is one already.

        Raises:
            Unavailable: a request with this name was cut off, and what became of it is not known yet.
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
            self._cut_off[owner, name] = self._clock()

    def _id_of(self, key: _Key) -> str | None:
        known, cut_off = self._memory_of(key)
        if known or (self._has_looked and cut_off is None):
            return known
        # Another process may have sent it: an earlier one of this service, or a request that was cut off.
        with self._looking:
            known, cut_off = self._memory_of(key)
            if known or (self._has_looked and cut_off is None):
                return known  # somebody has looked meanwhile
            found = {(job.owner, job.name): job.job_id for job in self._jobs()}
            with self._lock:
                for each, job_id in found.items():
                    self._remember(each, job_id)
            self._has_looked = True
        if key in found or cut_off is None:
            return found.get(key)
        if self._clock() - cut_off < SETTLED_AFTER:
            raise Unavailable(
                "an earlier request of this name was cut off and may still be under way; "
                f"it is settled {SETTLED_AFTER} s after that, ask again"
            )
        with self._lock:
            del self._cut_off[key]
        return None

    def _memory_of(self, key: _Key) -> tuple[str | None, float | None]:
        """The id under which it was sent, and when a request of it was cut off."""
        with self._lock:
            return self._ids.get(key), self._cut_off.get(key)

    def _remember(self, key: _Key, job_id: str) -> None:
        self._cut_off.pop(key, None)
        self._ids[key] = job_id
        self._ids.move_to_end(key)
        while len(self._ids) > _MOST:
            self._ids.popitem(last=False)
