"""One poll for all: what the cluster says of every job, asked once an interval however many ask.

Whoever asks first after the interval asks the cluster; the others get the last snapshot while it
is fresh enough, or wait. A failed poll is an error for everybody until the next one succeeds. Where a
circuit is open the next one waits until that lets a call through. For a job that was never seen the
cluster is asked once more, before it is denied.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.connectors.protocol import Management
from pipeline.errors import DownstreamError, NotFound, Unavailable
from pipeline.job import JobRef, JobStatus, Phase
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)

_REMEMBERED = 600
"""Seconds that a job which left the queue is remembered at least, until its end is recorded."""


@dataclass(frozen=True)
class Snapshot:
    """All jobs at one moment."""

    begun: float
    """When the cluster was asked, on the tracker's clock."""
    by_id: dict[str, JobStatus] = field(default_factory=dict)

    def in_phase(self, phase: Phase) -> list[JobStatus]:
        """The jobs that are queued, running or ended."""
        return [job for job in self.by_id.values() if job.phase is phase]


class Tracker:
    """Keeps the last snapshot, and what became of jobs that have left it."""

    def __init__(
        self,
        management: Management,
        *,
        interval: float,
        max_age: float,
        retention: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._management = management
        self._interval = interval
        self._max_age = max_age
        self._retention = retention
        self._clock = clock
        self._changed = threading.Condition()
        self._snapshot: Snapshot | None = None
        self._fault: DownstreamError | None = None
        self._due = float("-inf")
        """When the cluster may be asked again."""
        self._polling = False
        self._submitted: dict[str, tuple[float, JobStatus]] = {}
        self._left: dict[str, tuple[float, JobStatus]] = {}
        """Jobs that left the snapshot, with the time; ended ones are settled, others are not yet."""
        self._settling = OneForAll()

    def snapshot(self, *, since: float = float("-inf")) -> Snapshot:
        """The jobs as the cluster sees them, with all that were there at the moment ``since``.

        Raises:
            Unavailable: the last poll failed, or the last good one is too old.
        """
        with self._changed:
            while True:
                last = self._snapshot if self._snapshot and self._snapshot.begun >= since else None
                if self._clock() < self._due and (last or self._fault):
                    return self._last()
                if not self._polling:
                    self._polling = True
                    break
                if last and not self._fault and self._is_fresh(last):
                    return last
                if not self._changed.wait(self._max_age):
                    raise Unavailable(f"the cluster has not answered for {self._max_age:g} s")
        return self._poll()

    def silence(self) -> DownstreamError | None:
        """Why the last poll has failed, where a circuit is open since; asks nothing."""
        with self._changed:
            if self._fault is None or self._fault.retry_after is None:
                return None
            return self._told_again(self._fault)

    def submitted(self, job: JobStatus) -> None:
        """A job that was just sent is known at once; one that was sent again may have ended."""
        with self._changed:
            _, earlier = self._left.get(job.job_id, (0.0, job))
            if earlier.phase is Phase.ENDED and earlier.name == job.name:
                return
            self._submitted[job.job_id] = (self._clock(), job)
            if self._snapshot and job.job_id not in self._snapshot.by_id:
                self._snapshot = Snapshot(self._snapshot.begun, {**self._snapshot.by_id, job.job_id: job})

    def find(self, ref: JobRef) -> JobStatus:
        """The job that a reference names, live or ended.

        Raises:
            NotFound: there is no job of that name and id.
            Unavailable: what became of it cannot be known now.
        """
        asked = self._clock()
        job = self.snapshot().by_id.get(ref.job_id) or self._settled(ref.job_id)
        try:
            if not job and not self._has_left(ref.job_id):
                # Another replica may have sent it since the last poll.
                job = self.snapshot(since=asked).by_id.get(ref.job_id)
            job = job or self._settle(ref)
        except DownstreamError:
            job = self._settled(ref.job_id)  # what failed may have been about others
            if not job:
                raise
        if job.name != ref.name:
            raise NotFound(f"job {ref.job_id} is not {ref.name}", job=ref.name)
        return job

    def _last(self) -> Snapshot:
        if self._fault:
            raise self._told_again(self._fault)
        if self._snapshot is None or not self._is_fresh(self._snapshot):
            raise Unavailable("what the cluster last said of its jobs is too old")
        return self._snapshot

    def _told_again(self, fault: DownstreamError) -> DownstreamError:
        """What was said then, with the time that is left until the next poll."""
        told = fault.again()
        if told.retry_after is not None:
            told.retry_after = max(1.0, self._due - self._clock())
        return told

    def _is_fresh(self, snapshot: Snapshot) -> bool:
        return self._clock() - snapshot.begun <= self._max_age

    def _poll(self) -> Snapshot:
        """Ask the cluster; the one caller that may is here."""
        begun = self._clock()
        outcome: Snapshot | DownstreamError = Unavailable("the last poll broke off; see the log")
        try:
            jobs = self._management.jobs()
            outcome = Snapshot(begun, {job.job_id: job for job in jobs})
        except DownstreamError as fault:
            level = logging.WARNING if fault.retry_after is None else logging.DEBUG
            _log.log(level, "the cluster does not say which jobs there are: %s", fault)
            outcome = fault
        finally:
            self._publish(outcome)
        with self._changed:
            return self._last()

    def _publish(self, outcome: Snapshot | DownstreamError) -> None:
        with self._changed:
            self._polling = False
            self._due = self._clock() + self._interval
            if isinstance(outcome, Snapshot):
                self._fault = None
                self._replace(outcome)
            else:
                self._fault = outcome.again()
                self._due = self._clock() + max(self._interval, outcome.retry_after or 0.0)
            self._changed.notify_all()

    def _replace(self, new: Snapshot) -> None:
        known = {job_id: job for job_id, (_, job) in self._submitted.items()}
        known |= self._snapshot.by_id if self._snapshot else {}
        for job_id, (when, job) in list(self._submitted.items()):
            if when < new.begun:
                del self._submitted[job_id]
            else:
                new.by_id.setdefault(job_id, job)
        for job_id, job in known.items():
            if job_id not in new.by_id:
                self._left[job_id] = (new.begun, job)
        for job_id, (when, job) in list(self._left.items()):
            settled = job.phase is Phase.ENDED
            keep = self._retention if settled else max(self._retention, _REMEMBERED)
            if job_id in new.by_id or new.begun - when > keep:
                del self._left[job_id]
        self._snapshot = new

    def _settled(self, job_id: str) -> JobStatus | None:
        with self._changed:
            _, job = self._left.get(job_id, (0.0, None))
        return job if job and job.phase is Phase.ENDED else None

    def _has_left(self, job_id: str) -> bool:
        with self._changed:
            return job_id in self._left

    def _settle(self, ref: JobRef) -> JobStatus:
        """Ask what became of this job, and of all others that left without a known end."""
        with self._settling.turn("the cluster has not said yet how earlier jobs ended"):
            settled = self._settled(ref.job_id)
            if settled:
                return settled
            with self._changed:
                open_ends = {id_: job for id_, (_, job) in self._left.items() if job.phase is not Phase.ENDED}
            never_seen = JobStatus(ref.name, ref.job_id, "", "", Phase.ENDED)
            asked = open_ends.pop(ref.job_id, never_seen)  # the first, should time run out
            known_ends, fault = self._management.ended([asked, *open_ends.values()])
            ended = {job.job_id: job for job in known_ends}
            with self._changed:
                known = ref.job_id in self._left
                self._left |= {job_id: (self._clock(), job) for job_id, job in ended.items()}
            if ref.job_id in ended:
                return ended[ref.job_id]
            if fault:
                raise fault.again()
        if known:
            raise Unavailable(
                f"job {ref.job_id} has left the queue and its end is not recorded yet", job=ref.name
            )
        raise NotFound(f"there is no job {ref.job_id} named {ref.name}", job=ref.name)
