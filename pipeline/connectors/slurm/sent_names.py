"""What became of each name that was sent, so that none is sent twice."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipeline.errors import DownstreamError, InDoubt, NotFound
from pipeline.job import JobStatus, Phase
from pipeline.slurm.states import was_refused
from pipeline.turns import Turns

_log = logging.getLogger(__name__)

SETTLED_AFTER = 20
"""Seconds after which a request that was cut off is taken to have come to nothing, if Slurm has no job
of the name: twice the time that Slurm's daemons wait for each other (MessageTimeout, slurm.conf(5)).
They count from when slurmrestd answers again: what it was sent may wait in front of it until then."""

_MOST = 100_000
"""Names that are remembered."""

_YOUNG = 60.0
"""Seconds in which slurmctld does not forget a job that it has accepted, unless it is killed: it keeps one
that has ended for MinJobAge, which docs/site-setup.md wants to be twice that."""

_Key = tuple[str, str]
"""The owner and the name."""

IsThere = Callable[[str], bool]
"""Asks, as the owner, from whom it is not hidden, whether the job with this id is the one that was accepted.

Raises NotFound when there is none.
"""


class Known(NamedTuple):
    """The job of a name."""

    job_id: str
    digest: str = ""
    """As ``Job.digest``; empty: nobody has said it."""


class _Accepted(NamedTuple):
    job: Known
    since: float
    """When its answer came, by the clock of the names."""


class SentNames:
    """The jobs that this process has sent, and those that Slurm had when it looked.

    It looks and then sends, and nothing on the cluster keeps another downstream from doing the same. So
    who has sent looks again: Slurm numbers jobs as they come, and of two jobs of a name the first counts.
    """

    def __init__(
        self,
        jobs_of: Callable[[str, str], list[JobStatus]],
        answers: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``jobs_of`` gives all jobs that Slurm knows of an owner and a name.

        ``answers`` raises Unavailable if slurmrestd is away.
        """
        self._jobs_of = jobs_of
        self._answers = answers
        self._clock = clock
        self._ids: OrderedDict[_Key, Known] = OrderedDict()
        self._accepted: dict[_Key, _Accepted] = {}
        """Jobs of which it is not known yet whether they are the first of their names."""
        self._surplus: set[str] = set()
        """Ids of jobs that wait or run, though there was another of their name before."""
        self._cut_off: OrderedDict[_Key, float | None] = OrderedDict()
        """When slurmrestd was first seen to answer after it; None: not yet."""
        self._turns = Turns()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, owner: str, name: str, is_there: IsThere) -> Iterator[Known | None]:
        """Have this name for oneself; gives its job when there is one already.

        Raises:
            InDoubt: what became of an earlier request with this name is not known yet.
        """
        with self._turns.of((owner, name)):
            yield self._job_of((owner, name), is_there)

    def sent(self, owner: str, name: str, job: Known, is_there: IsThere) -> Known:
        """A job of this name was accepted. Gives the first one, which another downstream may have sent.

        Raises:
            InDoubt: which one it is cannot be known now; or Slurm has lost it, and the name is free.
        """
        key = (owner, name)
        with self._lock:
            self._accepted[key] = _Accepted(job, self._clock())
        try:
            first = self._first(key, is_there)
        except InDoubt:
            raise
        except DownstreamError as fault:
            raise InDoubt(
                f"the job was accepted; whether another downstream has sent it is not known: {fault.message}"
            ) from None
        if not first:
            raise InDoubt(
                f"slurmctld accepted the job as {job.job_id} and does not know it any more, as when it is "
                "killed; it can be sent again"
            )
        return first

    def surplus(self) -> set[str]:
        """Ids of jobs to be ended: another of their name was before them. Each is given once."""
        with self._lock:
            surplus, self._surplus = self._surplus, set()
            return surplus

    def cut_off(self, owner: str, name: str) -> None:
        """The request was sent, and its answer was not seen."""
        with self._lock:
            self._cut_off[owner, name] = None
            _shorten(self._cut_off)

    def _job_of(self, key: _Key, is_there: IsThere) -> Known | None:
        with self._lock:
            known, accepted = self._ids.get(key), key in self._accepted
            waits_for_slurmrestd = key in self._cut_off and self._cut_off[key] is None
        if known:
            return known
        if accepted:
            return self._first(key, is_there)
        if waits_for_slurmrestd:
            self._answers()
        looked = self._clock()
        found = self._look(key)
        if not found:
            self._check_settled(key, looked)
            return None
        return found[0]

    def _first(self, key: _Key, is_there: IsThere) -> Known | None:
        """The first job of a name of which one was accepted; None: Slurm has lost it."""
        found = self._look(key)
        accepted = self._accepted[key]
        is_lost = not found and self._is_lost(accepted, is_there)
        with self._lock:
            del self._accepted[key]
            if is_lost:
                _log.warning("slurmctld has lost job %s, %s, that it accepted", accepted.job.job_id, key[1])
                return None
            job = accepted.job
            first = found[0] if found else job
            if first.job_id == job.job_id:
                first = job  # of which the digest is known
            elif any(other.job_id == job.job_id for other in found):  # else its id may be another's by now
                self._surplus.add(job.job_id)
            self._remember(key, first)
            return first

    def _is_lost(self, accepted: _Accepted, is_there: IsThere) -> bool:
        """Whether Slurm, which shows no job of the name, has lost it. Raises InDoubt."""
        try:
            return not is_there(accepted.job.job_id)
        except DownstreamError as fault:
            if self._clock() - accepted.since >= _YOUNG:
                return False  # it is taken to have run, and to be forgotten
            if isinstance(fault, NotFound):
                return True
            raise InDoubt(
                f"the job was accepted; whether slurmctld still has it is not known: {fault.message}"
            ) from None

    def _look(self, key: _Key) -> list[Known]:
        """The jobs that Slurm knows of a name, the first one first. Of those that live one is left alone."""
        jobs = [job for job in self._jobs_of(*key) if not was_refused(job.state, job.nodes)]
        jobs = sorted(jobs, key=lambda job: int(job.job_id))
        live = [job.job_id for job in jobs if job.phase is not Phase.ENDED]
        found = [Known(job.job_id, job.digest) for job in jobs]
        if found:
            with self._lock:
                self._surplus.update(live[1:])
                self._remember(key, found[0])
        return found

    def _check_settled(self, key: _Key, looked: float) -> None:
        """Slurm had no job of the name at this moment. Raises InDoubt while there may still come one."""
        with self._lock:
            if key not in self._cut_off:
                return
            since = self._cut_off[key]
            if since is None:
                since = self._cut_off[key] = looked
            if looked - since >= SETTLED_AFTER:
                del self._cut_off[key]
                return
        raise InDoubt(
            "an earlier request of this name was cut off and may still be under way; "
            f"it is settled {SETTLED_AFTER} s after slurmrestd answers again"
        )

    def _remember(self, key: _Key, job: Known) -> None:
        self._cut_off.pop(key, None)
        self._ids[key] = job
        self._ids.move_to_end(key)
        _shorten(self._ids)


def _shorten(names: OrderedDict[_Key, Any]) -> None:
    while len(names) > _MOST:
        names.popitem(last=False)
