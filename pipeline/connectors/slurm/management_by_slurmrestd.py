"""Managing jobs through slurmrestd with a service token, for sites that give no SSH at all."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from pipeline.connectors.protocol import Ends
from pipeline.connectors.slurm.slurmrestd import Slurmrestd
from pipeline.errors import (
    DownstreamError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OutOfReach,
    Refused,
    Unavailable,
)
from pipeline.identity import Owner
from pipeline.job import JobStatus, Phase
from pipeline.settings import Settings
from pipeline.settings.token import Token, TokenFile
from pipeline.slurm.rest.records import JobRecord
from pipeline.slurm.rest.refusals import NoSuchPath
from pipeline.slurm.rest.requests import (
    AccountedJob,
    AccountedName,
    CancelJob,
    GetJob,
    JobStates,
    Ping,
    ReleaseJob,
    RestRequest,
    ShowJob,
)
from pipeline.slurm.states import phase
from pipeline.transport.http import AnswerLost
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_AT_A_TIME = 8
"""Single jobs that are asked for at the same time; slurmrestd has 20 threads by default."""

_MANY = 5000
"""Single jobs that take more than a few seconds."""

_ONCE = 600.0
"""Seconds that a command has to read all jobs: it asks once, and no later poll goes on where it stopped."""

_HIDDEN_AGAIN = 20
"""Hidden jobs that a poll asks for again: the service's user may have been let see them."""

_GLANCE = 1.0
"""Seconds for that, at the most."""

_JOB_IDS = range(1, 2**32)
_ENDING = ("COMPLETING", "STAGE_OUT", "SIGNALING")

_TOO_OLD = "v0.0.38"
"""Has no jobs/state; and its ping, which wants the name of the token's user, would hide that."""


class _Unfit(Unavailable):
    """slurmrestd does not know a path."""

    def __init__(self) -> None:
        super().__init__(
            "slurmrestd does not know what managing jobs needs (jobs/state, of Slurm 24.05 and newer), "
            "or has changed its versions; without JARVICE_SLURM_SERVICE_TOKEN jobs are managed over SSH"
        )


class ManagementBySlurmrestd:
    """Implements ``Management``; what needs a job's files is out of its reach."""

    def __init__(self, settings: Settings, api: Slurmrestd, token: Token | TokenFile) -> None:
        self._api = api
        self._token = token
        self._prefix = settings.job_name_prefix
        self._patience = settings.command_timeout
        self._reading_time = _ONCE if settings.are_for_native_jobs else settings.command_timeout
        self._records: dict[str, JobRecord | None] = {}
        """By id; None: a job that is not this portal's, or hidden."""
        self._hidden: dict[str, None] = {}
        """Ids of jobs that PrivateData hides now, the one that was asked for longest ago first."""
        self._listing = OneForAll()
        self._listed: list[JobStatus] = []
        self._listed_at = float("-inf")
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="slurmrestd")
        self._pool_of_ends = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="slurmdbd")
        """Of its own: polls do not wait for accounting."""

    def jobs(self) -> list[JobStatus]:
        """``jobs/state``, and single jobs only where it has something new: never the list of all jobs.

        However many ask, one list serves all that wait for it: it begins after each of them has asked.
        """
        asked = time.monotonic()
        with self._listing.turn("slurmrestd: which jobs there are is not known yet", self._reading_time):
            if self._listed_at <= asked:  # nobody has begun a list meanwhile
                begun = time.monotonic()
                self._listed = self._list()
                self._listed_at = begun
            return list(self._listed)

    def jobs_of(self, owner: str, name: str) -> list[JobStatus]:
        """Out of all jobs: slurmctld cannot be asked for a name through slurmrestd."""
        return [job for job in self.jobs() if (job.owner, job.name) == (owner, name)]

    def ended(self, jobs: Sequence[JobStatus]) -> Ends:
        """Each one's own record, or its accounting record when slurmctld has forgotten it."""
        asked = [self._pool_of_ends.submit(self._end_of, job) for job in jobs]
        done, left = _wait(asked, self._patience)
        faults = _faults(done)
        found = [future.result() for future in done if not future.exception()]
        late = Unavailable(f"slurmrestd: the ends of {len(left)} of {len(asked)} jobs are not read yet")
        return Ends([job for job in found if job], faults[0] if faults else late if left else None)

    def search(self, wanted: str) -> list[JobStatus]:
        """Accounting's records."""
        command: RestRequest[list[JobRecord]] = AccountedName(self._prefix + wanted)
        if wanted.isdecimal():
            if int(wanted) not in _JOB_IDS:
                return []
            command = AccountedJob(wanted)
        found = (record.status(self._prefix, time.time()) for record in self._accounted(command))
        latest = {job.job_id: job for job in found if job}  # a requeued job's last run counts
        return [job for job in latest.values() if job.phase is Phase.ENDED]

    def with_exit_codes(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        """Their records have them."""
        return list(jobs)

    def reason(self, job: JobStatus) -> str:
        """The job's own record: polls read it again only when its state has changed."""
        try:
            record = self._ask(GetJob(job.job_id, self._prefix))
        except NotFound:
            return job.reason
        return next((now.reason for now in self._of_name(job.name, [record] if record else [])), "")

    def terminate(self, job_id: str) -> None:
        """``DELETE job``; its answer does not tell, so the job is looked at after it."""
        try:
            self._ask(CancelJob(job_id))
        except NotFound:
            return
        # Not GET job: to a service that may not see the job it would look like one that is gone.
        state = self._ask(JobStates(only=job_id)).get(job_id)
        if state and phase(state) is not Phase.ENDED and state not in _ENDING:
            raise Refused(f"slurmrestd took the order to end job {job_id}, and it is {state} all the same")

    def release(self, job_id: str) -> None:
        """``POST job`` with ``hold`` false."""
        self._ask(ReleaseJob(job_id))

    def events(self, job_id: str) -> str:
        """The job's record."""
        return self._ask(ShowJob(job_id))

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
        if self._api.version() <= _TOO_OLD:
            raise _Unfit
        self._ask(Ping())
        self._ask(JobStates(only="1"))

    def close(self) -> None:
        """End the threads. The connections are closed by the submission."""
        for pool in (self._pool, self._pool_of_ends):
            pool.shutdown(wait=False, cancel_futures=True)

    def _list(self) -> list[JobStatus]:
        deadline = time.monotonic() + self._reading_time
        states = self._ask(JobStates())
        self._records = {job_id: job for job_id, job in self._records.items() if job_id in states}
        self._hidden = {job_id: None for job_id in self._hidden if job_id in states}
        news = [job_id for job_id, state in states.items() if self._is_news(job_id, state)]
        hidden = itertools.islice(self._hidden, _HIDDEN_AGAIN)
        again = [job_id for job_id in hidden if not self._is_news(job_id, states[job_id])]
        self._read(news, states, deadline - time.monotonic())
        self._look_again(again, states, min(_GLANCE, deadline - time.monotonic()))
        now = time.time()
        found = [job.status(self._prefix, now) for job in self._records.values() if job]
        return [job for job in found if job]

    def _is_news(self, job_id: str, state: str) -> bool:
        if job_id not in self._records:
            return True
        known = self._records[job_id]
        return known is not None and known.state != state

    def _read(self, job_ids: Sequence[str], states: Mapping[str, str], seconds: float) -> None:
        """Read single jobs. Raises Unavailable when there are too many for now: the next poll goes on."""
        if len(job_ids) > _MANY:
            _log.warning("slurmrestd shows jobs one by one: reading %d takes a while", len(job_ids))
        asked = self._ask_for(job_ids)
        done, left = _wait(asked, seconds)
        for future in done:
            self._keep(asked[future], future, states)
        faults = [fault for fault in _faults(done) if not isinstance(fault, NotFound)]
        if faults:
            raise faults[0]
        if left:
            raise Unavailable(f"slurmrestd: {len(left)} of {len(asked)} new jobs are not read yet")

    def _look_again(self, job_ids: Sequence[str], states: Mapping[str, str], seconds: float) -> None:
        """Whether hidden jobs can be seen by now. Nobody waits for that: another poll asks again."""
        for job_id in job_ids:
            self._hidden[job_id] = self._hidden.pop(job_id)
        asked = self._ask_for(job_ids)
        done, _ = _wait(asked, seconds)
        for future in done:
            self._keep(asked[future], future, states)

    def _ask_for(self, job_ids: Iterable[str]) -> dict[Future[JobRecord | None], str]:
        return {self._pool.submit(self._ask, GetJob(job_id, self._prefix)): job_id for job_id in job_ids}

    def _keep(self, job_id: str, answer: Future[JobRecord | None], states: Mapping[str, str]) -> None:
        """Remember what was answered of a job, if anything was."""
        fault = answer.exception()
        if not fault:
            self._hidden.pop(job_id, None)
            self._records[job_id] = answer.result()
        elif isinstance(fault, NotFound):  # jobs/state shows ids of jobs that PrivateData hides
            self._hidden[job_id] = None
            known = self._records.get(job_id)
            if known and phase(states[job_id]) is not Phase.ENDED:
                self._records[job_id] = replace(known, state=states[job_id])
            else:  # none of ours; or accounting has to tell its end
                self._records[job_id] = None
        elif not isinstance(fault, DownstreamError):  # a fault of this program
            raise fault

    def _end_of(self, asked: JobStatus) -> JobStatus | None:
        if int(asked.job_id) not in _JOB_IDS:
            return None
        try:
            record = self._ask(GetJob(asked.job_id, self._prefix))
            jobs = self._of_name(asked.name, [record] if record else [])
        except NotFound:
            jobs = []
        jobs = jobs or self._of_name(asked.name, self._ask(AccountedJob(asked.job_id)))
        # A requeued job has a record for each of its runs: the last one counts.
        return jobs[-1] if jobs and jobs[-1].phase is Phase.ENDED else None

    def _of_name(self, name: str, records: Sequence[JobRecord]) -> list[JobStatus]:
        """The records of this name: a job id can have been used before."""
        jobs = (record.status(self._prefix, time.time()) for record in records)
        return [job for job in jobs if job and job.name == name]

    def _accounted(self, command: RestRequest[list[JobRecord]]) -> list[JobRecord]:
        """Accounting's records; none on a cluster without it, whose slurmrestd has no paths for it."""
        version = self._api.version()
        try:
            return self._ask(command)
        except _Unfit:
            if self._api.version() != version:
                raise
            return []

    def _service(self) -> Owner:
        try:
            return Owner("", token=self._token.current())
        except (OSError, ValueError) as fault:
            raise Unavailable(f"JARVICE_SLURM_SERVICE_TOKEN_FILE cannot be read: {fault}") from None

    def _ask(self, request: RestRequest[_Answer]) -> _Answer:
        """Ask as the service. Its token's faults are ours, not the caller's."""
        service = self._service()
        try:
            return self._api.ask(request, service)
        except NotAuthenticated as fault:
            raise Unavailable(f"JARVICE_SLURM_SERVICE_TOKEN is not accepted: {fault.message}") from None
        except NotAllowed as fault:
            raise Unavailable(
                f"the user of JARVICE_SLURM_SERVICE_TOKEN may not do this: {fault.message}"
            ) from None
        except NoSuchPath:
            raise _Unfit from None
        except AnswerLost as lost:
            raise Unavailable(str(lost)) from None


def _wait(
    asked: Iterable[Future[_Answer]], seconds: float
) -> tuple[list[Future[_Answer]], list[Future[_Answer]]]:
    """Who has an answer in time, and who has not and is called off."""
    done, left = wait(asked, timeout=max(0.1, seconds))
    for future in left:
        future.cancel()
    return list(done), list(left)


def _faults(done: Iterable[Future[Any]]) -> list[DownstreamError]:
    """What went wrong, of what can; anything else is a fault of ours."""
    faults = []
    for future in done:
        fault = future.exception()
        if isinstance(fault, DownstreamError):
            faults.append(fault)
        elif fault:
            raise fault
    return faults
