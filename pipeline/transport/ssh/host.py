"""The far side of SSH connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.transport.ssh.certificates import Authority


@dataclass(frozen=True)
class Host:
    """The far side, and how it is spoken to. Times are seconds."""

    address: str
    port: int = 22
    known_hosts: Path = Path("known_hosts")
    """Where keys of hosts that are seen for the first time are remembered."""
    site_known_hosts: Path | None = None
    strict: bool = False
    """Whether a host key that nobody knows is refused, and not remembered."""
    authority: Authority | None = None
    """Vouches for who has no key of its own."""
    connect_timeout: float = 10.0
    channels: int = 8
    keepalive: int = 30
    environment: str = ""
    """``NAME="value"`` words, quoted for the far side's login shell."""

    def known_hosts_files(self) -> list[Path]:
        """Every file that host keys are checked against, the decisive one first."""
        return [file for file in (self.site_known_hosts, self.known_hosts) if file]

    def shell_line(self) -> str:
        """Start a bash with nothing in its environment that the user's start files or sshd put there."""
        return (
            'exec env -i HOME="$HOME" USER="$USER" LOGNAME="$USER" SHELL="$SHELL" PATH="$PATH" '
            f"LANG=C.UTF-8 {self.environment} bash --noprofile --norc"
        )
