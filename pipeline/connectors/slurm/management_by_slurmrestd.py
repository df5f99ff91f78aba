"""Managing jobs through slurmrestd with a service token, for sites that give no SSH at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NoReturn

from pipeline.connectors.protocol import Ends
from pipeline.connectors.slurm.jobs_by_slurmrestd import JobsBySlurmrestd
from pipeline.connectors.slurm.slurmrestd import Slurmrestd
from pipeline.connectors.slurm.slurmrestd_as_service import SlurmrestdAsService
from pipeline.connectors.slurm.together import Together
from pipeline.errors import NotFound, OutOfReach, Refused, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.settings import Settings
from pipeline.settings.token import Token, TokenFile
from pipeline.slurm.rest.records import JobRecord
from pipeline.slurm.rest.requests import (
    AccountedJob,
    AccountedName,
    CancelJob,
    GetJob,
    JobStates,
    ReleaseJob,
    RestRequest,
    ShowJob,
)
from pipeline.slurm.states import phase

_JOB_IDS = range(1, 2**32)
_ENDING = ("COMPLETING", "STAGE_OUT", "SIGNALING")


class ManagementBySlurmrestd:
    """Implements ``Management``; what needs a job's files is out of its reach."""

    def __init__(self, settings: Settings, api: Slurmrestd, token: Token | TokenFile) -> None:
        self._slurmrestd = SlurmrestdAsService(api, token)
        self._jobs = JobsBySlurmrestd(settings, self._slurmrestd)
        self._prefix = settings.job_name_prefix
        self._patience = settings.command_timeout
        self._together = Together("slurmdbd")
        """For ends: polls do not wait for accounting."""

    def jobs(self) -> list[JobStatus]:
        """What is remembered, with what is new."""
        return self._jobs.now()

    def jobs_of(self, owner: str, name: str) -> list[JobStatus]:
        """Out of all jobs: slurmctld cannot be asked for a name through slurmrestd."""
        return [job for job in self.jobs() if (job.owner, job.name) == (owner, name)]

    def ended(self, jobs: Sequence[JobStatus]) -> Ends:
        """Each one's own record, or its accounting record when slurmctld has forgotten it."""
        ends = self._together.ask(self._end_of, jobs, self._patience)
        fault = next(iter(ends.faults.values()), None)
        if ends.late and not fault:
            fault = Unavailable(
                f"slurmrestd: the ends of {len(ends.late)} of {len(jobs)} jobs are not read yet"
            )
        return Ends([job for job in ends.found.values() if job], fault)

    def search(self, wanted: str) -> list[JobStatus]:
        """Accounting's records."""
        command: RestRequest[list[JobRecord]] = AccountedName(self._prefix + wanted)
        if wanted.isdecimal():
            if int(wanted) not in _JOB_IDS:
                return []
            command = AccountedJob(wanted)
        found = (record.status(self._prefix, time.time()) for record in self._slurmrestd.accounted(command))
        latest = {job.job_id: job for job in found if job}  # a requeued job's last run counts
        return [job for job in latest.values() if job.phase is Phase.ENDED]

    def with_exit_codes(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        """Their records have them."""
        return list(jobs)

    def reason(self, job: JobStatus) -> str:
        """The job's own record: polls read it again only when its state has changed."""
        try:
            record = self._slurmrestd.ask(GetJob(job.job_id, self._prefix))
        except NotFound:
            return job.reason
        return next((now.reason for now in self._of_name(job.name, [record] if record else [])), "")

    def terminate(self, job_id: str) -> None:
        """``DELETE job``; its answer does not tell, so the job is looked at after it."""
        try:
            self._slurmrestd.ask(CancelJob(job_id))
        except NotFound:
            return
        # Not GET job: to a service that may not see the job it would look like one that is gone.
        state = self._slurmrestd.ask(JobStates(only=job_id)).get(job_id)
        if state and phase(state) is not Phase.ENDED and state not in _ENDING:
            raise Refused(f"slurmrestd took the order to end job {job_id}, and it is {state} all the same")

    def release(self, job_id: str) -> None:
        """``POST job`` with ``hold`` false."""
        self._slurmrestd.ask(ReleaseJob(job_id))

    def events(self, job_id: str) -> str:
        """The job's record."""
        return self._slurmrestd.ask(ShowJob(job_id))

    def output(self, job: JobStatus, lines: int) -> NoReturn:
        """There is no way to files through slurmrestd. Raises OutOfReach."""
        raise OutOfReach(
            "the job's output cannot be read: jobs are managed through slurmrestd "
            "(JARVICE_SLURM_SERVICE_TOKEN), which does not show files"
        )

    def output_from(self, job: JobStatus, offset: int) -> NoReturn:
        """There is no way to files through slurmrestd. Raises OutOfReach."""
        self.output(job, offset)

    def remove_files(self, job: JobStatus) -> NoReturn:
        """There is no way to files through slurmrestd. Raises OutOfReach."""
        raise OutOfReach("slurmrestd does not remove files")

    def remove_logins(self, job: JobStatus) -> None:
        """They are inside the batch script."""

    def listing(self, path: str, details: bool, job: JobStatus | None = None) -> NoReturn:
        """There is no way to files through slurmrestd. Raises OutOfReach."""
        raise OutOfReach("pvcls: jobs are managed through slurmrestd, which does not show files")

    def check(self) -> None:
        """Whether slurmctld answers who has this token, and slurmrestd has what polls need."""
        self._slurmrestd.check()

    def close(self) -> None:
        """End the threads. The connections are closed by the submission."""
        self._jobs.close()
        self._together.close()

    def _end_of(self, asked: JobStatus) -> JobStatus | None:
        if int(asked.job_id) not in _JOB_IDS:
            return None
        try:
            record = self._slurmrestd.ask(GetJob(asked.job_id, self._prefix))
            jobs = self._of_name(asked.name, [record] if record else [])
        except NotFound:
            jobs = []
        jobs = jobs or self._of_name(asked.name, self._slurmrestd.ask(AccountedJob(asked.job_id)))
        # A requeued job has a record for each of its runs: the last one counts.
        return jobs[-1] if jobs and jobs[-1].phase is Phase.ENDED else None

    def _of_name(self, name: str, records: Sequence[JobRecord]) -> list[JobStatus]:
        """The records of this name: a job id can have been used before."""
        jobs = (record.status(self._prefix, time.time()) for record in records)
        return [job for job in jobs if job and job.name == name]
