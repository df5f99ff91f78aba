"""Managing jobs with Slurm's commands over SSH, as the entry user; their files as ``OwnersFiles`` says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from pipeline.connectors.protocol import Ends
from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.connectors.slurm.owners_files import OwnersFiles
from pipeline.errors import DownstreamError, NotFound, Unavailable
from pipeline.job import JobStatus, Phase, Piece
from pipeline.settings import Settings
from pipeline.slurm import states
from pipeline.slurm.commands import (
    ExitCodes,
    NoAccounting,
    Ping,
    Release,
    Sacct,
    SacctOfName,
    Scancel,
    ShowJob,
    Squeue,
    UnknownUser,
)
from pipeline.slurm.folders import LISTING_BYTES, Listing
from pipeline.slurm.job_files import (
    PIECE_BYTES,
    OutputFrom,
    ReadClaim,
    ReadRecord,
    Remove,
    RemoveLogins,
    Tail,
)

_log = logging.getLogger(__name__)

_IDS_A_COMMAND = 2000
"""Job ids in one command line, which Linux bounds at 128 KiB a word."""


class ManagementByCommands:
    """Implements ``Management``."""

    def __init__(self, settings: Settings, host: ClusterHost, files: OwnersFiles) -> None:
        self._host = host
        self._files = files
        self._logins_in_files = settings.secrets_travel_alone
        self._prefix = settings.job_name_prefix
        self._pvcls_roots = settings.pvcls_roots
        self._output_limit = settings.output_limit

    def jobs(self) -> list[JobStatus]:
        """``squeue``, once for all."""
        return self._host.ask(Squeue(self._prefix))

    def jobs_of(self, owner: str, name: str) -> list[JobStatus]:
        """``squeue`` for this user alone, which costs slurmctld far less than the list of all jobs."""
        try:
            found = self._host.ask(Squeue(self._prefix, name=name, user=owner))
        except UnknownUser:
            found = self._host.ask(Squeue(self._prefix, name=name))
        return [job for job in found if (job.owner, job.name) == (owner, name)]

    def ended(self, jobs: Sequence[JobStatus]) -> Ends:
        """One sacct for all of them; their own exit records where accounting has no final word."""
        settled, silence = self._from_accounting(jobs)
        fault: DownstreamError | None = None
        for job in jobs:
            if job.job_id in settled or not (job.owner or silence):
                continue  # a job that accounting, when it answers, does not know either was never there
            try:
                found = self._from_record(job, killed_without=isinstance(silence, NoAccounting))
            except DownstreamError as hidden:
                fault = hidden
                continue
            if found:
                settled[job.job_id] = found
            elif isinstance(silence, Unavailable) and not job.owner:
                fault = silence  # accounting may know it
        return Ends(list(settled.values()), fault)

    def search(self, wanted: str) -> list[JobStatus]:
        """sacct; without accounting a name is looked for in the control folders of the users."""
        command = Sacct(self._prefix, [wanted]) if wanted.isdecimal() else SacctOfName(self._prefix, wanted)
        try:
            records = self._host.ask(command)
        except NoAccounting:
            return [] if wanted.isdecimal() else self._by_claims(wanted)
        latest = {record.job_id: record for record in records}  # a requeued job's last run counts
        return [job for job in latest.values() if job.phase is Phase.ENDED]

    def with_exit_codes(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        """One squeue for all that have failed."""
        asked = [
            job.job_id
            for job in jobs
            if job.exit_code is None
            and states.may_have_exit_code(job.state)
            and not states.was_refused(job.state, job.nodes)
        ]
        codes: dict[str, tuple[int, int]] = {}
        for at in range(0, len(asked), _IDS_A_COMMAND):
            codes |= self._host.ask(ExitCodes(asked[at : at + _IDS_A_COMMAND]))
        return [
            replace(job, exit_code=states.exit_code(job.state, *codes[job.job_id]))
            if job.job_id in codes
            else job
            for job in jobs
        ]

    def reason(self, job: JobStatus) -> str:
        """As squeue has said with all the others."""
        return job.reason

    def terminate(self, job_id: str) -> None:
        """``scancel``, as the entry user."""
        self._host.ask(Scancel(job_id))

    def release(self, job_id: str) -> None:
        """``scontrol release``, as the entry user."""
        self._host.ask(Release(job_id))

    def events(self, job_id: str) -> str:
        """``scontrol show job``, as the entry user."""
        return self._host.ask(ShowJob(job_id))

    def output(self, job: JobStatus, lines: int) -> bytes | None:
        """``tail`` of the job's output."""
        login, files = self._files.reach(job.owner, job.name)
        command = Tail(files, lines, self._output_limit)
        return self._host.ask(command, login=login, output_bytes=self._output_limit + 4096)

    def output_from(self, job: JobStatus, offset: int) -> Piece | None:
        """``tail`` and ``head`` of the job's output."""
        login, files = self._files.reach(job.owner, job.name)
        return self._host.ask(OutputFrom(files, offset), login=login, output_bytes=PIECE_BYTES + 4096)

    def remove_files(self, job: JobStatus) -> None:
        """``rm`` of all that a job left."""
        login, files = self._files.reach(job.owner, job.name)
        self._host.ask(Remove(files, job.job_id), login=login)

    def remove_logins(self, job: JobStatus) -> None:
        """``rm`` of the file that the submission has put them in, if it does so."""
        if self._logins_in_files:
            login, files = self._files.reach(job.owner, job.name)
            self._host.ask(RemoveLogins(files, job.job_id), login=login)

    def listing(self, path: str, details: bool, job: JobStatus | None = None) -> str:
        """find, as who reaches this job's files; as the entry user without one."""
        login = self._files.reach(job.owner, job.name)[0] if job else None
        command = Listing(path, details, self._pvcls_roots)
        return self._host.ask(command, login=login, output_bytes=LISTING_BYTES)

    def check(self) -> None:
        """``scontrol ping``, as the entry user."""
        self._host.ask(Ping())

    def close(self) -> None:
        """Close the SSH connections."""
        self._host.close()

    def _from_accounting(
        self, jobs: Sequence[JobStatus]
    ) -> tuple[dict[str, JobStatus], NoAccounting | Unavailable | None]:
        """The final records of these jobs by id, and why there may be none of them."""
        names = {job.job_id: job.name for job in jobs}
        try:
            ids = list(names)
            records = [
                record
                for at in range(0, len(ids), _IDS_A_COMMAND)
                for record in self._host.ask(Sacct(self._prefix, ids[at : at + _IDS_A_COMMAND]))
            ]
        except (NoAccounting, Unavailable) as silence:
            _log.log(
                logging.WARNING if isinstance(silence, Unavailable) else logging.DEBUG,
                "reading exit records instead of accounting: %s", silence,
            )  # fmt: skip
            return {}, silence
        # A requeued job has a record for each of its runs: the last one counts.
        latest = {record.job_id: record for record in records if names.get(record.job_id) == record.name}
        return {job_id: job for job_id, job in latest.items() if job.phase is Phase.ENDED}, None

    def _from_record(self, job: JobStatus, *, killed_without: bool) -> JobStatus | None:
        """What the job's own exit record says; None when that settles nothing.

        ``killed_without``: a job that left none was killed, unless slurmctld knows it. That one may
        have been sent since all jobs were listed, or have the prefix of another portal.
        """
        owner = job.owner or self._owner_by_files(job)
        if not owner:
            return None
        ended = replace(job, owner=owner, phase=Phase.ENDED)
        try:
            login, files = self._files.reach(owner, job.name)
            record = self._host.ask(ReadRecord(files, job.job_id), login=login)
        except NotFound:
            return None
        except Unavailable:  # there may be one: nobody may take this for a job that was never there
            raise
        except DownstreamError as fault:
            _log.warning("job %s (%s): %s", job.name, job.job_id, fault)
            return None
        if record is None:
            gone = killed_without and not self._host.ask(ExitCodes([job.job_id]))
            return replace(ended, state=states.KILLED) if gone else None
        if record.job_id != job.job_id:
            return None
        state = "COMPLETED" if record.code == 0 else "FAILED"
        code = states.exit_code(state, record.code)
        return replace(ended, state=state, elapsed=record.ended - record.started, exit_code=code)

    def _by_claims(self, name: str) -> list[JobStatus]:
        """The jobs of a name that users have control folders of.

        Raises what kept one user's folder from being looked at, when nothing is found in the others.
        """
        found = []
        hidden: DownstreamError | None = None
        for user in self._files.users():
            try:
                found.append(self._by_claim(user, name))
            except NotFound:
                continue
            except DownstreamError as fault:
                hidden = fault
        jobs = [job for job in found if job]
        if hidden and not jobs:
            raise hidden
        return jobs

    def _by_claim(self, user: str, name: str) -> JobStatus | None:
        """The ended job of a name that this user has a control folder of. Raises NotFound: there is none."""
        login, files = self._files.reach(user, name)
        job_id = self._host.ask(ReadClaim(files), login=login)
        if not job_id:
            return None
        return self._from_record(JobStatus(name, job_id, user, "", Phase.ENDED), killed_without=True)

    def _owner_by_files(self, job: JobStatus) -> str:
        """The user who has the control folder of a job that was never seen; empty: nobody.

        Raises what kept one user's folder from being looked at, when no other user has it.
        """
        hidden: DownstreamError | None = None
        for user in self._files.users():
            try:
                login, files = self._files.reach(user, job.name)
                self._host.ask(ReadRecord(files, job.job_id), login=login)
            except NotFound:
                continue
            except DownstreamError as fault:
                hidden = fault
            else:
                return user
        if hidden:
            raise hidden
        return ""
