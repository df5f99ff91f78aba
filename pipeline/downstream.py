"""What a downstream does: the upstream's questions, each as one sentence."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.bearers import Bearers
from pipeline.connectors.protocol import Connector
from pipeline.errors import DownstreamError, JobNotOver, NotFound, OutOfReach
from pipeline.job import OUTPUT_LINES, JobRef, JobStatus, Phase
from pipeline.prepare import Preparer
from pipeline.settings import Settings
from pipeline.slurm.states import exit_status, show_seconds
from pipeline.tracker import Tracker
from pipeline.turns import Turns

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submitted:
    """A job that was sent: its id and its script without secrets."""

    job_id: str
    script: str


@dataclass(frozen=True)
class ExitReport:
    """How a job ended: the upstream's exit status, ``HH:MM:SS``, its last output, Slurm's word."""

    status: int
    elapsed: str
    output: str
    state: str

    @property
    def size(self) -> int:
        """Bytes of the output in memory, at the most."""
        return 4 * len(self.output)


class Downstream:
    """The use cases. Safe for any number of threads."""

    def __init__(
        self,
        settings: Settings,
        connector: Connector,
        bearers: Bearers,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connector = connector
        self._submission, self._management = connector
        self._bearers = bearers
        self._preparer = Preparer(settings)
        self._tracker = Tracker(
            self._management,
            interval=settings.poll_interval,
            max_age=settings.snapshot_max_age,
            retention=settings.retention,
            clock=clock,
        )
        self._collected = _Collected(settings.retention, clock)

    def submit(self, form: Mapping[str, Any]) -> Submitted:
        """Check a job, see whose it is, render it, send it as its owner."""
        job = self._preparer.check(form)
        with _about(job.name):
            owner = self._submission.owner_of(self._bearers.of(job.bearer))
            batch = self._preparer.render(job)
            job_id = self._submission.submit(batch, owner).job_id
        _log.info("job %s submitted as %s for %s", job.name, job_id, owner.user)
        self._tracker.submitted(JobStatus(job.name, job_id, owner.user, "PENDING", Phase.QUEUED))
        return Submitted(job_id, batch.masked())

    def running(self) -> list[JobStatus]:
        """The jobs that run now."""
        return self._tracker.snapshot().in_phase(Phase.RUNNING)

    def queued(self) -> list[JobStatus]:
        """The jobs that wait."""
        return self._tracker.snapshot().in_phase(Phase.QUEUED)

    def status(self, ref: JobRef) -> JobStatus:
        """What is known of a job. Raises NotFound or Unavailable."""
        return self._tracker.find(ref)

    def exit_report(self, ref: JobRef) -> ExitReport:
        """How a job ended. Its files are removed; asked again, the answer is the same for a while.

        Raises:
            JobNotOver: it is queued or running; nothing of it is touched.
            NotFound, Unavailable.
        """
        with self._collected.turn(ref) as earlier:
            if earlier:
                return earlier
            job = self._tracker.find(ref)
            if job.phase is not Phase.ENDED:
                raise JobNotOver(f"job {ref.job_id} is {job.state}: it has no exit status yet", job=ref.name)
            with _about(ref.name):
                output = self._last_output(job)
            report = ExitReport(exit_status(job.state), show_seconds(job.elapsed), output, job.state)
            self._collected.keep(ref, report)
            self._remove_files(job)
            _log.info("job %s (%s) ended: %s", ref.name, ref.job_id, job.state)
            return report

    def terminate(self, ref: JobRef) -> None:
        """End a job; one that has ended already is left as it is."""
        if self._tracker.find(ref).phase is not Phase.ENDED:
            with _about(ref.name):
                self._management.terminate(ref.job_id)
            _log.info("job %s (%s) terminated", ref.name, ref.job_id)

    def release(self, ref: JobRef) -> None:
        """Release a held job."""
        self._tracker.find(ref)
        with _about(ref.name):
            self._management.release(ref.job_id)

    def events(self, ref: JobRef) -> str:
        """What the scheduler says of a job."""
        self._tracker.find(ref)
        with _about(ref.name):
            return self._management.events(ref.job_id)

    def tail(self, ref: JobRef, lines: int) -> str:
        """The last lines of a job's output; 0 is all.

        Raises:
            NotFound: there is no output yet.
        """
        job = self._tracker.find(ref)
        with _about(ref.name):
            output = self._management.output(job, lines)
        if output is None:
            gone = "is gone: it is removed when the exit status is given"
            what = gone if job.phase is Phase.ENDED else "is not there yet"
            raise NotFound(f"the output of job {ref.job_id} {what}", job=ref.name)
        return output.decode("utf-8", "replace")

    def listing(self, path: str, details: bool, ref: JobRef | None = None) -> str:
        """A directory of the cluster, as this job's owner sees it, or else as who manages jobs."""
        if ref is None:
            return self._management.listing(path, details)
        job = self._tracker.find(ref)
        with _about(ref.name):
            return self._management.listing(path, details, job)

    def check(self) -> None:
        """Raises Unavailable when the cluster does not answer."""
        self._connector.check()

    def silence(self) -> DownstreamError | None:
        """Why nothing can be told of jobs, where the cluster has not answered of late; asks nobody."""
        return self._tracker.silence()

    def close(self) -> None:
        """Let go of the cluster, and of what verifies tokens."""
        self._connector.close()
        self._bearers.close()

    def _last_output(self, job: JobStatus) -> str:
        """What goes back with the exit status; where the output cannot be reached, the reason."""
        try:
            output = self._management.output(job, OUTPUT_LINES) or b""
        except OutOfReach as reason:
            return f"<< {reason} >>\n"
        return output.decode("utf-8", "replace")

    def _remove_files(self, job: JobStatus) -> None:
        try:
            self._management.remove_files(job)
        except OutOfReach as reason:
            _log.info("job %s (%s): its files stay: %s", job.name, job.job_id, reason)
        except DownstreamError as fault:
            # The exit status is known and must reach the upstream all the same.
            _log.error("job %s (%s): its files are left behind: %s", job.name, job.job_id, fault)


class _Collected:
    """Exit reports that were given, kept for a while; one at a time for each job."""

    _MOST_BYTES = 256 * 1024 * 1024

    def __init__(self, retention: float, clock: Callable[[], float]) -> None:
        self._retention = retention
        self._clock = clock
        self._reports: OrderedDict[tuple[str, str], tuple[float, ExitReport]] = OrderedDict()
        self._turns = Turns()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, ref: JobRef) -> Iterator[ExitReport | None]:
        """Have this job for oneself; gives its report when it was collected before."""
        key = (ref.name, ref.job_id)
        with self._turns.of(key):
            with self._lock:
                self._drop_old()
                _, report = self._reports.get(key, (0.0, None))
            yield report

    def keep(self, ref: JobRef, report: ExitReport) -> None:
        """Remember a report."""
        with self._lock:
            self._reports[ref.name, ref.job_id] = (self._clock(), report)
            self._drop_old()

    def _drop_old(self) -> None:
        horizon = self._clock() - self._retention
        size = sum(report.size for _, report in self._reports.values())
        while self._reports:
            key, (when, report) = next(iter(self._reports.items()))
            if when >= horizon and size <= self._MOST_BYTES:
                return
            size -= report.size
            del self._reports[key]


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Every error in here is said of this job."""
    try:
        yield
    except DownstreamError as fault:
        raise fault.about(name) from fault.__cause__
