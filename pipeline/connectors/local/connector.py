"""The very same batch script on this machine: for a first try, and for who writes templates.

It is no scheduler: jobs run as this service's own user, share the machine, and are known only as
long as the service runs.
"""

from __future__ import annotations

import getpass
import logging
import shutil
import subprocess  # nosec B404 # a job is a process
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.connectors.local import process
from pipeline.connectors.local.process import Asked
from pipeline.connectors.protocol import Ends
from pipeline.errors import NameTaken, NotFound
from pipeline.identity import Bearer, Owner
from pipeline.job import JobFiles, JobStatus, Phase, Piece, Sent
from pipeline.render import BatchScript
from pipeline.settings import Settings
from pipeline.slurm import states
from pipeline.slurm.folders import Listing
from pipeline.slurm.job_files import PIECE_BYTES, OutputFrom, Remove, Tail
from pipeline.transport import Completed, Limits
from pipeline.transport.process import run

_log = logging.getLogger(__name__)


@dataclass
class _Job:
    job_id: str
    batch: BatchScript
    asked: Asked
    held: bool
    cancelled: bool = False
    state: str = "PENDING"
    begun: float | None = None
    ended: float | None = None
    process: subprocess.Popen[bytes] | None = None

    def status(self, owner: str) -> JobStatus:
        nodes = tuple(f"local{n}" for n in range(1, self.asked.nodes + 1)) if self.begun else ()
        until = self.ended or time.monotonic()
        return JobStatus(
            name=self.batch.name,
            job_id=self.job_id,
            owner=owner,
            state=self.state,
            phase=states.phase(self.state),
            elapsed=int(until - self.begun) if self.begun else 0,
            nodes=nodes,
            exit_code=states.exit_code(self.state, *self._code_and_signal()),
            reason="JobHeldUser" if self.held and self.state == "PENDING" else "",
        )

    def _code_and_signal(self) -> tuple[int, int]:
        code = (self.process and self.process.returncode) or 0
        return max(0, code), max(0, -code)


class Local:
    """Jobs as child processes, a few at a time. Implements ``Submission`` and ``Management``."""

    def __init__(self, settings: Settings) -> None:
        self._user = getpass.getuser()
        self._slots = settings.local_slots
        self._output_limit = settings.output_limit
        self._limits = Limits(settings.command_timeout, max(settings.output_limit, PIECE_BYTES) + 4096)
        self._pvcls_roots = settings.pvcls_roots
        self._folder = (settings.state_dir / "local").resolve()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._jobs: dict[str, _Job] = {}
        self._next_id = int(time.time())
        self._lock = threading.RLock()
        _log.warning("local connector: jobs run on this machine as %s; for trying only", self._user)

    def owner_of(self, bearer: Bearer) -> Owner:
        """Everybody is this service's own user."""
        return Owner(self._user)

    def owner_named(self, user: str, token: str) -> Owner:
        """Everybody is this service's own user."""
        return Owner(self._user)

    def submit(self, batch: BatchScript, owner: Owner) -> Sent:
        """Queue the script, or find the job of a name that is known. Raises NameTaken for other content."""
        asked = Asked.by(batch.text)
        with self._lock:
            for job in self._jobs.values():
                if job.batch.name == batch.name:
                    if job.batch.digest != batch.digest:
                        raise NameTaken.by_other_content(job.job_id)
                    return Sent(job.job_id, is_new=False)
            # Jobs of an earlier start are forgotten; what they claimed must not stand in the way.
            shutil.rmtree(self._folder / batch.files.control, ignore_errors=True)
            (self._folder / batch.files.output).unlink(missing_ok=True)
            job = _Job(str(self._next_id), batch, asked, asked.held)
            self._next_id += 1
            self._jobs[job.job_id] = job
            self._start_waiting()
            return Sent(job.job_id)

    def jobs(self) -> list[JobStatus]:
        """Every job since the start whose files are still there."""
        with self._lock:
            return [job.status(self._user) for job in self._jobs.values()]

    def ended(self, jobs: Sequence[JobStatus]) -> Ends:
        """Nothing more is known of a job that was collected."""
        return Ends([])

    def search(self, wanted: str) -> list[JobStatus]:
        """A job that is not known was collected."""
        return []

    def with_exit_codes(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        """They have them."""
        return list(jobs)

    def reason(self, job: JobStatus) -> str:
        """It is known at once."""
        return job.reason

    def terminate(self, job_id: str) -> None:
        """End the job's processes, or take it out of the queue."""
        with self._lock:
            job = self._job(job_id)
            if job.state == "PENDING":
                job.state = "CANCELLED"
            if job.state != "RUNNING" or not job.process:
                return
            # It is over, and its files may go, when its processes have ended: _watch sees to that.
            job.cancelled = True
        process.end(job.process)

    def release(self, job_id: str) -> None:
        """Let a held job run."""
        with self._lock:
            self._job(job_id).held = False
            self._start_waiting()

    def events(self, job_id: str) -> str:
        """What is known of the job, in scontrol's manner."""
        with self._lock:
            status, held = self._job(job_id).status(self._user), self._job(job_id).held
        return (
            f"JobId={job_id} JobName={status.name} UserId={status.owner} JobState={status.state}"
            f"{' Reason=JobHeldUser' if held else ''} RunTime={states.show_seconds(status.elapsed)}"
            f" NodeList={','.join(status.nodes)} (local connector)\n"
        )

    def output(self, job: JobStatus, lines: int) -> bytes | None:
        """The end of the job's output file."""
        command = Tail(self._files(job), lines, self._output_limit)
        return command.parse(self._run(command.line()))

    def output_from(self, job: JobStatus, offset: int) -> Piece | None:
        """A part of the job's output file."""
        command = OutputFrom(self._files(job), offset)
        return command.parse(self._run(command.line()))

    def remove_files(self, job: JobStatus) -> None:
        """Remove the job's files and forget it."""
        command = Remove(self._files(job), job.job_id)
        command.parse(self._run(command.line()))
        (self._folder / "spool" / f"{job.job_id}.sh").unlink(missing_ok=True)
        with self._lock:
            self._jobs.pop(job.job_id, None)

    def remove_logins(self, job: JobStatus) -> None:
        """They are inside the batch script."""

    def listing(self, path: str, details: bool, job: JobStatus | None = None) -> str:
        """A directory of this machine, under the roots or the jobs' home folder."""
        command = Listing(path, details, self._pvcls_roots)
        return command.parse(self._run(command.line()))

    def check(self) -> None:
        """This machine is always there."""

    def close(self) -> None:
        """End every job."""
        with self._lock:
            live = [job.job_id for job in self._jobs.values() if job.status("").phase is not Phase.ENDED]
        for job_id in live:
            self.terminate(job_id)

    def _job(self, job_id: str) -> _Job:
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NotFound(f"the local connector has no job {job_id}") from None

    def _files(self, job: JobStatus) -> JobFiles:
        with self._lock:
            return self._job(job.job_id).batch.files

    def _run(self, line: str) -> Completed:
        return run(
            line,
            folder=self._folder,
            environment=process.environment(self._folder),
            limits=self._limits,
        )

    def _start_waiting(self) -> None:
        """Start what may run now, first come first served. The lock is held."""
        free = self._slots - sum(job.state == "RUNNING" for job in self._jobs.values())
        waiting = [job for job in self._jobs.values() if job.state == "PENDING" and not job.held]
        for job in waiting[:free]:
            job.process = process.start(
                job.job_id, job.batch.slurm_name, job.batch.text, job.asked, self._folder
            )
            job.state, job.begun = "RUNNING", time.monotonic()
            threading.Thread(
                target=self._watch, args=(job, job.process), name=f"job-{job.job_id}", daemon=True
            ).start()

    def _watch(self, job: _Job, running: subprocess.Popen[bytes]) -> None:
        """Wait for a job's end, or bring it about at its walltime."""
        try:
            code = running.wait(job.asked.seconds)
            state = "COMPLETED" if code == 0 else "FAILED"
        except subprocess.TimeoutExpired:
            process.end(running)
            state = "TIMEOUT"
        with self._lock:
            job.state = "CANCELLED" if job.cancelled else state
            job.ended = time.monotonic()
            self._start_waiting()
