"""Slurm's commands over SSH: sbatch as the mapped user, everything that manages jobs as the entry user."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from pipeline import shell
from pipeline.errors import DownstreamError, NotFound, Refused, Unavailable
from pipeline.identity import Owner, UsersMapping
from pipeline.job import JobFiles, JobStatus, Phase
from pipeline.render import BatchScript
from pipeline.settings import Settings
from pipeline.slurm import states
from pipeline.slurm.commands import Command, NoAccounting, Ping, Release, Sacct, Scancel, ShowJob, Squeue
from pipeline.slurm.job_files import Listing, ReadRecord, Remove, Tail
from pipeline.slurm.submission import Settle, Submit, Unsettled, Withdraw
from pipeline.transport import Limits
from pipeline.transport.ssh import Host, Login, SshTransport, check_keys

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_IDS_A_COMMAND = 2000
"""Job ids in one command line, which Linux bounds at 128 KiB a word."""


class SlurmCli:
    """The ``cli`` interface of a Slurm cluster. Implements ``Connector``."""

    def __init__(self, settings: Settings, users: UsersMapping) -> None:
        """Raises SettingsFault when a private key cannot be used."""
        entry = Owner(settings.slurm_ssh_user, settings.slurm_ssh_pkey)
        check_keys([_login(owner) for owner in (entry, *users.owners()) if owner.private_key])
        self._users = users
        self._prefix = settings.job_name_prefix
        self._scratch = settings.job_scratch_dir
        self._pvcls_roots = settings.pvcls_roots
        self._entry = _login(entry)
        self._limits = Limits(settings.command_timeout)
        self._output_limit = settings.output_limit
        self._transport = SshTransport(
            Host(
                address=settings.slurm_cluster_addr,
                port=settings.slurm_cluster_port,
                known_hosts=settings.state_dir / "known_hosts",
                site_known_hosts=settings.slurm_known_hosts,
                connect_timeout=settings.ssh_connect_timeout,
                channels=settings.ssh_channels,
                environment=_environment(settings),
            ),
            max_connections=settings.ssh_max_connections,
            idle_timeout=settings.ssh_idle_timeout,
        )

    def owner_of(self, bearer: str) -> Owner:
        """The mapped user."""
        return self._users.owner_of(bearer)

    def submit(self, batch: BatchScript, owner: Owner) -> str:
        """``sbatch``, as the owner; see ``slurm.submission`` for why it happens once."""
        login, control = _login(owner), batch.files.control
        try:
            return self._ask(login, Submit(control), stdin=batch.text.encode("utf-8"))
        except Unsettled:
            return self._ask(login, Settle(control, batch.slurm_name))
        except Refused:
            self._ask(login, Withdraw(control))
            raise

    def jobs(self) -> list[JobStatus]:
        """``squeue``, once for all."""
        return self._ask(self._entry, Squeue(self._prefix))

    def ended(self, jobs: Sequence[JobStatus]) -> list[JobStatus]:
        """One sacct for all of them; their own exit records where accounting has no final word."""
        settled, silence = self._from_accounting(jobs)
        for job in jobs:
            if job.job_id in settled or not (job.owner or silence):
                continue  # a job that accounting, when it answers, does not know either was never there
            found = self._from_record(job, killed_without=isinstance(silence, NoAccounting))
            if found:
                settled[job.job_id] = found
            elif isinstance(silence, Unavailable) and not job.owner:
                raise silence  # accounting may know it
        return list(settled.values())

    def terminate(self, job_id: str) -> None:
        """``scancel``, as the entry user."""
        self._ask(self._entry, Scancel(job_id))

    def release(self, job_id: str) -> None:
        """``scontrol release``, as the entry user."""
        self._ask(self._entry, Release(job_id))

    def events(self, job_id: str) -> str:
        """``scontrol show job``, as the entry user."""
        return self._ask(self._entry, ShowJob(job_id))

    def output(self, job: JobStatus, lines: int) -> bytes | None:
        """``tail``, as the owner."""
        command = Tail(self._files(job.name), lines, self._output_limit)
        limits = Limits(self._limits.seconds, self._output_limit + 4096)
        return self._ask(self._login_of(job.owner), command, limits=limits)

    def remove_files(self, job: JobStatus) -> None:
        """``rm``, as the owner."""
        self._ask(self._login_of(job.owner), Remove(self._files(job.name), job.job_id))

    def listing(self, path: str, details: bool) -> str:
        """find, as the entry user."""
        return self._ask(self._entry, Listing(path, details, self._pvcls_roots))

    def check(self) -> None:
        """``scontrol ping``, as the entry user."""
        self._ask(self._entry, Ping())

    def close(self) -> None:
        """Close the SSH connections."""
        self._transport.close()

    def _ask(
        self,
        login: Login,
        command: Command[_Answer],
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
    ) -> _Answer:
        reply = self._transport.run(login, command.line(), limits or self._limits, stdin)
        return command.parse(reply)

    def _files(self, name: str) -> JobFiles:
        return JobFiles(self._scratch, name)

    def _login_of(self, user: str) -> Login:
        return _login(self._users.key_holder(user))

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
                for record in self._ask(self._entry, Sacct(self._prefix, ids[at : at + _IDS_A_COMMAND]))
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
        """What the job's own exit record says; None when that settles nothing."""
        owner = job.owner or self._owner_by_files(job)
        if not owner:
            return None
        ended = replace(job, owner=owner, phase=Phase.ENDED)
        try:
            record = self._ask(self._login_of(owner), ReadRecord(self._files(job.name), job.job_id))
        except NotFound:
            return None
        except DownstreamError as fault:
            _log.warning("job %s (%s): %s", job.name, job.job_id, fault)
            return None
        if record is None:
            return replace(ended, state=states.KILLED) if killed_without else None
        if record.job_id != job.job_id:
            return None
        state = "COMPLETED" if record.code == 0 else "FAILED"
        return replace(ended, state=state, elapsed=record.ended - record.started)

    def _owner_by_files(self, job: JobStatus) -> str:
        """The mapped user who has the control folder of a job that was never seen; empty: nobody.

        Raises what kept one user's folder from being looked at, when no other user has it.
        """
        hidden: DownstreamError | None = None
        for user in self._users.users():
            try:
                self._ask(self._login_of(user), ReadRecord(self._files(job.name), job.job_id))
            except NotFound:
                continue
            except DownstreamError as fault:
                hidden = fault
            else:
                return user
        if hidden:
            raise hidden
        return ""


def _login(owner: Owner) -> Login:
    return Login(owner.user, owner.private_key)


def _environment(settings: Settings) -> str:
    """Words for ``env``, read by the mapped user's own login shell."""
    words: Iterable[str] = (
        f'PATH={shell.quote(settings.slurm_bin_dir)}:"$PATH"' if settings.slurm_bin_dir else "",
        f"SLURM_CONF={shell.quote(settings.slurm_conf)}" if settings.slurm_conf else "",
    )
    return " ".join(word for word in words if word)
