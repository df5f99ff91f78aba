"""A connector without a cluster: a test says what the cluster knows, and counts what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.connectors.protocol import Ends
from pipeline.errors import DownstreamError
from pipeline.identity import Bearer, Owner
from pipeline.job import JobRef, JobStatus, Phase, Piece, Sent
from pipeline.render import BatchScript
from tests.harness.jobs import NAME

REF = JobRef(NAME, 1, "7")
RUNS = JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING, 65, ("n1", "n2"))
ENDED = JobStatus(NAME, "7", "kirby", "COMPLETED", Phase.ENDED, 70, ("n1", "n2"))


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeConnector:
    """Implements ``Submission`` and ``Management``."""

    live: list[JobStatus] = field(default_factory=list)
    """What ``jobs`` answers."""
    over: list[JobStatus] = field(default_factory=list)
    """What ``ended`` answers, of the jobs that it is asked about."""
    output_bytes: bytes | None = b"the output\n"
    fault: Exception | None = None
    """Raised by ``jobs``."""
    removal_fault: Exception | None = None
    meanwhile: Callable[[], None] = lambda: None
    """Happens while ``jobs`` is asked."""
    polls: int = 0
    ends_fault: DownstreamError | None = None
    """Keeps the ends of jobs that are not in ``over`` from being known."""
    asked_ends: list[list[str]] = field(default_factory=list)
    outputs: int = 0
    removed: list[str] = field(default_factory=list)
    removed_logins: list[str] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    exit_codes: dict[str, int] = field(default_factory=dict)
    """By id, of jobs that are asked for them."""
    piece_bytes: int = 1000
    submitted: list[BatchScript] = field(default_factory=list)
    submission_faults: list[Exception] = field(default_factory=list)
    """Raised by ``submit``, one each time."""

    def owner_of(self, bearer: Bearer) -> Owner:
        return Owner("kirby")

    def owner_named(self, user: str, token: str) -> Owner:
        return Owner(user, token=token)

    def submit(self, batch: BatchScript, owner: Owner) -> Sent:
        if self.submission_faults:
            raise self.submission_faults.pop(0)
        names = [earlier.name for earlier in self.submitted]
        self.submitted.append(batch)
        return Sent("7", is_new=batch.name not in names)

    def jobs(self) -> list[JobStatus]:
        self.polls += 1
        answer = list(self.live)
        self.meanwhile()
        if self.fault:
            raise self.fault
        return answer

    def ended(self, jobs: Sequence[JobStatus]) -> Ends:
        self.asked_ends.append(sorted(job.job_id for job in jobs))
        wanted = {(job.name, job.job_id) for job in jobs}
        return Ends([job for job in self.over if (job.name, job.job_id) in wanted], self.ends_fault)

    def search(self, wanted: str) -> list[JobStatus]:
        return [job for job in self.over if wanted in (job.name, job.job_id)]

    def with_exit_codes(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        return [replace(job, exit_code=self.exit_codes.get(job.job_id, job.exit_code)) for job in jobs]

    def reason(self, job: JobStatus) -> str:
        return job.reason

    def terminate(self, job_id: str) -> None:
        self.terminated.append(job_id)

    def release(self, job_id: str) -> None:
        self.released.append(job_id)

    def events(self, job_id: str) -> str:
        return f"JobId={job_id}\n"

    def output(self, job: JobStatus, lines: int) -> bytes | None:
        self.outputs += 1
        return self.output_bytes

    def output_from(self, job: JobStatus, offset: int) -> Piece | None:
        if self.output_bytes is None:
            return None
        return Piece(self.output_bytes[offset : offset + self.piece_bytes], len(self.output_bytes))

    def remove_files(self, job: JobStatus) -> None:
        if self.removal_fault:
            raise self.removal_fault
        self.removed.append(job.job_id)

    def remove_logins(self, job: JobStatus) -> None:
        if self.removal_fault:
            raise self.removal_fault
        self.removed_logins.append(job.job_id)

    def listing(self, path: str, details: bool, job: JobStatus | None = None) -> str:
        return f"/data{path}{job.owner if job else ''}\n"

    def check(self) -> None:
        return

    def close(self) -> None:
        return
