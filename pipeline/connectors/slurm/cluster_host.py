"""The cluster's SSH entry point: Slurm's commands, asked as the entry user or as another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pipeline import shell
from pipeline.circuit import Circuit
from pipeline.errors import SettingsFault
from pipeline.identity import NEVER, Owner
from pipeline.settings import Settings
from pipeline.slurm.commands import Command, ExitCodes, Ping, Release, Scancel, ShowJob, Squeue
from pipeline.slurm.submission import Settle, Submit
from pipeline.transport import Limits
from pipeline.transport.ssh import Authority, Host, Login, SshTransport, check_keys

_Answer = TypeVar("_Answer")

_ASK_SLURMCTLD = (ExitCodes, Ping, Release, Scancel, Settle, ShowJob, Squeue, Submit)
"""Commands that wait for slurmctld. Files are read, and accounting is asked, while it is away."""


class ClusterHost:
    """Runs commands over kept connections. Safe for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsFault as ``check_entry`` does."""
        check_entry(settings)
        self.entry = entry_of(settings)
        self.host = host_of(settings)
        self._limits = Limits(settings.command_timeout)
        self._transport = SshTransport(
            self.host,
            max_connections=settings.ssh_max_connections,
            idle_timeout=settings.ssh_idle_timeout,
        )
        self._slurmctld = Circuit(f"slurmctld, asked on {settings.slurm_cluster_addr},")

    def ask(
        self,
        command: Command[_Answer],
        *,
        login: Login | None = None,
        stdin: bytes = b"",
        output_bytes: int | None = None,
    ) -> _Answer:
        """Run a command, as the entry user unless it says otherwise.

        Raises:
            Unreachable: the host or slurmctld has not answered of late: nothing is sent.
            DownstreamError: as the command's answer does.
        """
        limits = Limits(self._limits.seconds, output_bytes or self._limits.output_bytes)

        def run() -> _Answer:
            return command.parse(self._transport.run(login or self.entry, command.line(), limits, stdin))

        if not isinstance(command, _ASK_SLURMCTLD):
            return run()
        # The id of an earlier submission comes from a file, without slurmctld.
        with self._slurmctld.call(conclusive=not isinstance(command, Submit)):
            return run()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


def login_of(owner: Owner) -> Login:
    """The login of a mapped user."""
    return Login(owner.user, owner.private_key)


def entry_of(settings: Settings) -> Login:
    """The entry user's login."""
    return Login(settings.slurm_ssh_user, settings.slurm_ssh_pkey)


def check_owners(owners: Iterable[Owner]) -> None:
    """Raises SettingsFault for each owner whose private key cannot be used."""
    check_keys(login_of(owner) for owner in owners if owner.private_key)


def check_entry(settings: Settings) -> None:
    """Raises SettingsFault when neither a key of the entry user nor one that signs for it can be used."""
    faults: list[str] = []
    entry = entry_of(settings)
    try:
        check_keys([entry] if entry.private_key else [])
    except SettingsFault as fault:
        faults += (f"JARVICE_SLURM_SSH_PKEY: {told}" for told in fault.faults)
    try:
        authority = _authority(settings)
    except SettingsFault as fault:
        faults += fault.faults
    else:
        if authority and entry.user == NEVER and not entry.private_key:
            faults.append(f"JARVICE_SLURM_SSH_USER: no certificate is made for {NEVER}; name another user")
    if faults:
        raise SettingsFault(faults)


def host_of(settings: Settings) -> Host:
    """The cluster's host, as the settings have it. Raises SettingsFault as ``check_entry`` does."""
    return Host(
        address=settings.slurm_cluster_addr,
        port=settings.slurm_cluster_port,
        known_hosts=settings.state_dir / "known_hosts",
        site_known_hosts=settings.slurm_known_hosts,
        strict=settings.slurm_host_keys == "strict",
        authority=_authority(settings),
        connect_timeout=settings.ssh_connect_timeout,
        channels=settings.ssh_channels,
        environment=_environment(settings),
    )


def _authority(settings: Settings) -> Authority | None:
    if not settings.slurm_ssh_ca_key:
        return None
    try:
        return Authority(settings.slurm_ssh_ca_key, settings.slurm_ssh_certificate_time)
    except ValueError as fault:
        raise SettingsFault([f"JARVICE_SLURM_SSH_CA_KEY: the key {fault}"]) from None


def _environment(settings: Settings) -> str:
    """Words for ``env``, read by the mapped user's own login shell."""
    words: Iterable[str] = (
        f'PATH={shell.quote(settings.slurm_bin_dir)}:"$PATH"' if settings.slurm_bin_dir else "",
        f"SLURM_CONF={shell.quote(settings.slurm_conf)}" if settings.slurm_conf else "",
    )
    return " ".join(word for word in words if word)
