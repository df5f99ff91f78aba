"""What is done with native jobs: each a sentence. Slurm alone remembers them."""

from __future__ import annotations

import difflib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pipeline.connectors.protocol import Connector, Management
from pipeline.errors import DownstreamError, InDoubt, InvalidRequest, NotFound, Unavailable
from pipeline.job import JobRef, JobStatus, Phase, Piece
from pipeline.prepare import Preparer
from pipeline.settings import Settings
from pipeline.slurm.reasons import needs_telling
from pipeline.tracker import Tracker

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

Told = Callable[[DownstreamError], None]
"""Hears why the cluster has to be asked again."""

_NAME_OR_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,127}|[0-9]{1,10}")

_PATIENCE = 600.0
"""Seconds without an answer after which a job is not watched any more."""

_FOLLOWS = 1.0
"""Seconds between two looks at the output of a job that is followed, at the most."""


@dataclass(frozen=True)
class Submitted:
    """A job that Slurm has."""

    ref: JobRef
    user: str
    is_new: bool
    """Not so if its name was submitted before: the job is the one of that time."""


class NativeJobs:
    """The use cases of native jobs."""

    def __init__(
        self,
        settings: Settings,
        connector: Connector,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """The connector is one of ``settings.for_native_jobs()``."""
        self._submission, self._management = connector
        self._settings = settings
        self._interval = settings.poll_interval
        self._output_limit = settings.output_limit
        self._clock = clock
        self._sleep = sleep
        self._tracker = Tracker(
            self._management,
            interval=settings.poll_interval,
            max_age=settings.snapshot_max_age,
            retention=settings.retention,
            clock=clock,
        )

    def submit(self, spec: Mapping[str, Any], token: str, told: Told) -> Submitted:
        """Check a job, render it, send it as its user, whose own token it takes where there is one.

        Where it is not known whether the job has arrived, that is settled here, if it takes some minutes: no
        other process knows that there is something to settle.
        """
        preparer = Preparer(self._settings)  # here: faults in a site's templates stop nothing else
        job = preparer.check_spec(spec)
        batch = preparer.render(job)
        owner = self._submission.owner_named(job.user, token)
        doubts: list[DownstreamError] = []

        def in_doubt(fault: DownstreamError) -> None:
            doubts.append(fault)
            told(fault)

        sent = self._patiently(lambda: self._submission.submit(batch, owner), in_doubt, only_after=InDoubt)
        is_new = sent.is_new or bool(doubts)  # of what was in doubt here the job is the outcome
        if is_new:
            self._tracker.submitted(JobStatus(job.name, sent.job_id, owner.user, "PENDING", Phase.QUEUED))
        return Submitted(JobRef(job.name, job.number, sent.job_id), owner.user, is_new)

    def all(self, user: str = "") -> list[JobStatus]:
        """Every job that Slurm has not forgotten, oldest first; of this user, if one is named."""
        return self._with_exit_codes(_of(user, self._known()))

    def find(self, wanted: str, user: str = "") -> JobStatus:
        """The job with this name or id; of a user's jobs of one name the live one, or the last.

        Where no user is named it can be anybody's.

        Raises:
            InvalidRequest: it is neither, or several users have a job of this name.
            NotFound: there is no such job.
        """
        if not _NAME_OR_ID.fullmatch(wanted):
            raise InvalidRequest(f"{wanted!r} is neither a job's name nor its id")
        known = _of(user, self._known())
        found = [job for job in known if wanted in (job.name, job.job_id)]
        found = found or _of(user, self._management.search(wanted))
        if not found:
            near = difflib.get_close_matches(wanted, {job.name for job in known}, n=1)
            raise NotFound(
                f"there is no native job {wanted}"
                + (f" of {user}" if user else "")
                + (f"; did you mean {near[0]}?" if near else "")
            )
        if len({job.owner for job in found}) > 1:
            theirs = ", ".join(f"{job.job_id} ({job.owner})" for job in found)
            raise InvalidRequest(f"several users have a job {wanted}: {theirs}; say the id or the user")
        [job] = self._with_exit_codes([max(found, key=_latest)])
        return job

    def watch(self, ref: JobRef, told: Told) -> Iterator[JobStatus]:
        """The job each time that there is news of it; the last one is its end.

        Raises:
            NotFound, Unavailable: what becomes of it cannot be known any more.
        """
        before: JobStatus | None = None
        for job in self._looks(ref, self._interval, told):
            if is_news(job, before):
                yield job
            before = job

    def output(self, job: JobStatus, lines: int) -> bytes:
        """The last lines of a job's output; 0 is all, as far as the limit of the settings goes.

        Raises:
            NotFound: there is none, and there will be none.
            Unavailable: there is none yet.
        """
        output = self._management.output(job, lines)
        if output is None:
            text = f"{job.name} is {job.state}: it has no output"
            raise NotFound(text) if job.phase is Phase.ENDED else Unavailable(f"{text} yet")
        return output

    def follow(self, job: JobStatus, lines: int, told: Told) -> Iterator[tuple[JobStatus, bytes]]:
        """A job's output as it comes, with the job as it is seen then, until it has ended and all was given.

        It begins with the last lines of what there is; 0 is all. Where there is nothing new it is empty.
        """
        ref = JobRef(job.name, 0, job.job_id)
        output = _Output(self._management, lambda ask: self._patiently(ask, told))
        if lines:
            yield job, output.last_lines(job, lines, self._output_limit)
        for now in self._looks(ref, min(self._interval, _FOLLOWS), told):
            yield now, b""
            for piece in output.news(now):
                yield now, piece

    def cancel(self, job: JobStatus) -> bool:
        """End a job; says whether there was anything to end."""
        if job.phase is Phase.ENDED:
            return False
        self._management.terminate(job.job_id)
        if job.phase is Phase.QUEUED:  # else it has read and removed them itself
            self._remove_logins(job)
        return True

    def release(self, job: JobStatus) -> None:
        """Release a held job. Raises InvalidRequest for one that waits no more."""
        if job.phase is not Phase.QUEUED:
            raise InvalidRequest(f"{job.name} is {job.state}: it does not wait")
        self._management.release(job.job_id)

    def _known(self) -> list[JobStatus]:
        return sorted(self._tracker.snapshot().by_id.values(), key=lambda job: int(job.job_id))

    def _with_exit_codes(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        return self._management.with_exit_codes(jobs)

    def _looks(self, ref: JobRef, pause: float, told: Told) -> Iterator[JobStatus]:
        """The job again and again; the last time it has ended."""
        while True:
            job = self._patiently(lambda: self._look(ref), told)
            yield job
            if job.phase is Phase.ENDED:
                return
            self._sleep(pause)

    def _look(self, ref: JobRef) -> JobStatus:
        [job] = self._with_exit_codes([self._tracker.find(ref)])
        return replace(job, reason=self._management.reason(job)) if job.phase is Phase.QUEUED else job

    def _remove_logins(self, job: JobStatus) -> None:
        try:
            self._management.remove_logins(job)
        except DownstreamError as fault:
            _log.warning("%s is cancelled; its registry logins are still on the cluster: %s", job.name, fault)

    def _patiently(
        self, ask: Callable[[], _Answer], told: Told, only_after: type[Unavailable] = Unavailable
    ) -> _Answer:
        """The answer, asked for again while the cluster does not give it, for some minutes.

        A first fault that is not of the kind ``only_after`` is raised at once.
        """
        since: float | None = None
        while True:
            try:
                return ask()
            except Unavailable as fault:
                if since is None:
                    if not isinstance(fault, only_after):
                        raise
                    since = self._clock()
                    told(fault)
                elif self._clock() - since > _PATIENCE:
                    raise
                self._sleep(self._interval)


class _Output:
    """What has not been given yet of a job's output."""

    def __init__(
        self,
        management: Management,
        patiently: Callable[[Callable[[], Piece | None]], Piece | None],
    ) -> None:
        self._management = management
        self._patiently = patiently
        self._given = 0

    def news(self, job: JobStatus) -> Iterator[bytes]:
        """What has been put out since the last time."""
        while True:
            piece = self._read(job)
            if piece is None:
                return
            if piece.size < self._given:  # Slurm has started the job again, and its output with it
                self._given = 0
                continue
            self._given += len(piece.data)
            if piece.data:
                yield piece.data
            if self._given >= piece.size or not piece.data:
                return

    def last_lines(self, job: JobStatus, lines: int, most_bytes: int) -> bytes:
        """The last lines of what there is now."""
        piece = self._read(job)
        if piece is None:
            return b""
        self._given = max(0, piece.size - most_bytes)
        parts = b"".join(self.news(job)).split(b"\n")
        ends_here = parts[-1] == b""
        return b"\n".join(parts[-lines - ends_here :])

    def _read(self, job: JobStatus) -> Piece | None:
        return self._patiently(lambda: self._management.output_from(job, self._given))


def _of(user: str, jobs: list[JobStatus]) -> list[JobStatus]:
    """Those of this user; without one, all."""
    return [job for job in jobs if user in ("", job.owner)]


def is_news(job: JobStatus, before: JobStatus | None) -> bool:
    """Whether a job's state has changed since then, or why it waits. Waiting for a turn is no news."""
    return before is None or _worth_telling(job) != _worth_telling(before)


def _worth_telling(job: JobStatus) -> tuple[str, str]:
    return job.state, job.reason if needs_telling(job.reason) else ""


def _latest(job: JobStatus) -> tuple[bool, int]:
    return job.phase is not Phase.ENDED, int(job.job_id)
