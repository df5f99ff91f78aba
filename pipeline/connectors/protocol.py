"""What every way to run jobs offers to the use cases: a way in, and what is done with jobs after that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pipeline.errors import DownstreamError
from pipeline.identity import Bearer, Owner
from pipeline.job import JobStatus, Piece, Sent
from pipeline.render import BatchScript


class Submission(Protocol):
    """A way that jobs are sent. Safe for any number of threads."""

    def owner_of(self, bearer: Bearer) -> Owner:
        """Whose job it will be. Raises NotAllowed."""
        ...

    def owner_named(self, user: str, token: str) -> Owner:
        """This user of the cluster, whose native job it will be; the token is the user's own, or empty.

        Raises:
            NotAllowed, NotAuthenticated, InvalidRequest: jobs cannot be sent as this user.
        """
        ...

    def submit(self, batch: BatchScript, owner: Owner) -> Sent:
        """Send a job, or find the one that was sent with its name before.

        Raises Refused, in Slurm's words.
        """
        ...

    def check(self) -> None:
        """Raises Unavailable, with the reason, when jobs cannot be sent now."""
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...


class Ends(NamedTuple):
    """What became of jobs."""

    known: list[JobStatus]
    fault: DownstreamError | None = None
    """What kept others of them from being known; None: nothing is recorded of them."""


class Management(Protocol):
    """What can be asked about jobs, and done with them. Safe for any number of threads.

    Every call raises ``Unavailable`` when the truth cannot be known now: it gives no guess, and no part
    that looks whole.
    Callers check that a job id belongs to the name before they act on it.
    """

    def jobs(self) -> list[JobStatus]:
        """Every job of this portal that is known without a search: all live ones, some ended ones."""
        ...

    def ended(self, jobs: Sequence[JobStatus]) -> Ends:
        """What became of jobs that ``jobs`` no longer has, as far as it can be known now.

        Of a job that was never seen only name and id are filled in.
        """
        ...

    def search(self, wanted: str) -> list[JobStatus]:
        """Ended jobs with this name, or this id, that ``jobs`` may have no more; the last one last."""
        ...

    def with_exit_codes(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        """The same jobs, ended ones with their exit codes as far as Slurm still knows."""
        ...

    def reason(self, job: JobStatus) -> str:
        """Why a job waits, as far as it is known now; what ``jobs`` has said of it may be older."""
        ...

    def terminate(self, job_id: str) -> None:
        """End a job, queued or running. An ended one is no error."""
        ...

    def release(self, job_id: str) -> None:
        """Release a held job."""
        ...

    def events(self, job_id: str) -> str:
        """All that the scheduler says of a job, as text."""
        ...

    def output(self, job: JobStatus, lines: int) -> bytes | None:
        """The last lines of a job's output (0: all, up to the limit); None before there is any.

        Raises:
            OutOfReach: there may be output, but not for this downstream.
        """
        ...

    def output_from(self, job: JobStatus, offset: int) -> Piece | None:
        """A piece of a job's output from this byte on; None before there is any. Raises OutOfReach."""
        ...

    def remove_files(self, job: JobStatus) -> None:
        """Remove the job's output, control folder, and what its script made. Raises OutOfReach."""
        ...

    def remove_logins(self, job: JobStatus) -> None:
        """Remove the registry logins that a job would have read at its start, where they wait in a file."""
        ...

    def listing(self, path: str, details: bool, job: JobStatus | None = None) -> str:
        """A directory, for ``/request/pvcls``, as the owner of this job sees it, where one is asked about.

        Raises:
            NotFound, NotAllowed, InvalidRequest: it is not there, may not be shown, or holds too much.
        """
        ...

    def check(self) -> None:
        """Raises Unavailable, with the reason, when jobs cannot be handled now."""
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...


class Connector(NamedTuple):
    """Where jobs go: both halves."""

    submission: Submission
    management: Management

    def check(self) -> None:
        """Raises Unavailable, with the reason, when either half cannot be used now."""
        self.submission.check()
        self.management.check()

    def close(self) -> None:
        """Let go of both."""
        self.submission.close()
        self.management.close()
