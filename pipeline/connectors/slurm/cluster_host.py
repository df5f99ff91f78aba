"""The cluster's SSH entry point: Slurm's commands, asked as the entry user or as another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pipeline import shell
from pipeline.identity import Owner
from pipeline.settings import Settings
from pipeline.slurm.commands import Command
from pipeline.transport import Limits
from pipeline.transport.ssh import Host, Login, SshTransport, check_keys

_Answer = TypeVar("_Answer")


class ClusterHost:
    """Runs commands over kept connections. Safe for any number of threads."""

    def __init__(self, settings: Settings, owners: Iterable[Owner] = ()) -> None:
        """Raises SettingsFault when the private key of the entry user or of an owner cannot be used."""
        self.entry = Login(settings.slurm_ssh_user, settings.slurm_ssh_pkey)
        logins = [self.entry, *(login_of(owner) for owner in owners)]
        check_keys([login for login in logins if login.private_key])
        self.host = host_of(settings)
        self._limits = Limits(settings.command_timeout)
        self._transport = SshTransport(
            self.host,
            max_connections=settings.ssh_max_connections,
            idle_timeout=settings.ssh_idle_timeout,
        )

    def ask(
        self,
        command: Command[_Answer],
        *,
        login: Login | None = None,
        stdin: bytes = b"",
        output_bytes: int | None = None,
    ) -> _Answer:
        """Run a command, as the entry user unless it says otherwise. Raises as the command's answer does."""
        limits = Limits(self._limits.seconds, output_bytes or self._limits.output_bytes)
        return command.parse(self._transport.run(login or self.entry, command.line(), limits, stdin))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


def login_of(owner: Owner) -> Login:
    """The login of a mapped user."""
    return Login(owner.user, owner.private_key)


def host_of(settings: Settings) -> Host:
    """The cluster's host, as the settings have it."""
    return Host(
        address=settings.slurm_cluster_addr,
        port=settings.slurm_cluster_port,
        known_hosts=settings.state_dir / "known_hosts",
        site_known_hosts=settings.slurm_known_hosts,
        connect_timeout=settings.ssh_connect_timeout,
        channels=settings.ssh_channels,
        environment=_environment(settings),
    )


def _environment(settings: Settings) -> str:
    """Words for ``env``, read by the mapped user's own login shell."""
    words: Iterable[str] = (
        f'PATH={shell.quote(settings.slurm_bin_dir)}:"$PATH"' if settings.slurm_bin_dir else "",
        f"SLURM_CONF={shell.quote(settings.slurm_conf)}" if settings.slurm_conf else "",
    )
    return " ".join(word for word in words if word)
