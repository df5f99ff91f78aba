"""One SSH connection as one user, with a bounded number of remote shells on it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from pipeline.errors import SettingsFault, Unavailable
from pipeline.transport import Limits
from pipeline.transport.ssh.keys import RememberedHosts, private_key
from pipeline.transport.ssh.shell import ConnectionDropped, RemoteShell


@dataclass(frozen=True)
class Login:
    """A user of the far side and the private key, as text, that logs in."""

    user: str
    private_key: str = field(repr=False)


def check_keys(logins: Iterable[Login]) -> None:
    """Raises SettingsFault with one sentence for each private key that cannot be used."""
    faults = []
    for login in logins:
        try:
            private_key(login.private_key, of=login.user)
        except Unavailable as fault:
            faults.append(fault.message)
    if faults:
        raise SettingsFault(faults)


@dataclass(frozen=True)
class Host:
    """The far side, and how it is spoken to. Times are seconds."""

    address: str
    port: int = 22
    known_hosts: Path = Path("known_hosts")
    """Where keys of hosts that are seen for the first time are remembered."""
    site_known_hosts: Path | None = None
    connect_timeout: float = 10.0
    channels: int = 8
    keepalive: int = 30
    environment: str = ""
    """``NAME="value"`` words, quoted for the far side's login shell."""

    def known_hosts_files(self) -> list[Path]:
        """Every file that host keys are checked against."""
        return [file for file in (self.known_hosts, self.site_known_hosts) if file]

    def shell_line(self) -> str:
        """Start a bash with nothing in its environment that the user's start files or sshd put there."""
        return (
            'exec env -i HOME="$HOME" USER="$USER" LOGNAME="$USER" SHELL="$SHELL" PATH="$PATH" '
            f"LANG=C.UTF-8 {self.environment} bash --noprofile --norc"
        )


class Connection:
    """A connection that is open until it is closed or drops."""

    def __init__(self, host: Host, login: Login, hosts: RememberedHosts, patience: float) -> None:
        """Connect in ``patience`` seconds where the host's ``connect_timeout`` is longer; then log in.

        Logging in may take what connecting has left of that time.

        Raises:
            Unavailable: says what failed: the network, the host key, the login.
        """
        self._host = host
        self._client = _connect(host, login, hosts, min(host.connect_timeout, patience))
        self._free_channels = threading.BoundedSemaphore(host.channels)
        self._idle_shells: list[RemoteShell] = []
        self._lock = threading.Lock()
        self.users = 0
        self.retired = False
        self.last_used = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the connection was not closed by either side."""
        transport = self._client.get_transport()
        return transport is not None and transport.is_active()

    @contextlib.contextmanager
    def shell(self, patience: float) -> Iterator[RemoteShell]:
        """A shell for one command; it is kept for the next one unless the command failed.

        Raises:
            ConnectionDropped: the connection is gone.
            Unavailable: all channels stayed in use for ``patience`` seconds.
        """
        deadline = time.monotonic() + patience
        if not self._free_channels.acquire(timeout=patience):
            raise Unavailable(
                f"all {self._host.channels} SSH channels to {self._host.address} stayed busy "
                f"for {patience:.1f} s"
            )
        try:
            shell = self._idle_shell() or self._new_shell(max(0.1, deadline - time.monotonic()))
            try:
                yield shell
            except BaseException:
                shell.close()
                raise
            with self._lock:
                self._idle_shells.append(shell)
        finally:
            self.last_used = time.monotonic()
            self._free_channels.release()

    def forward(self, address: str, port: int, seconds: float) -> paramiko.Channel:
        """A channel to a port that the far side connects to, in time. Raises what paramiko raises."""
        transport = self._client.get_transport()
        if transport is None:
            raise EOFError("it was closed")
        near = ("127.0.0.1", 0)  # who asks, for the far side's log
        return transport.open_channel("direct-tcpip", (address, port), near, timeout=seconds)

    def close(self) -> None:
        """Close the connection and every shell on it."""
        self._client.close()

    def _idle_shell(self) -> RemoteShell | None:
        with self._lock:
            return self._idle_shells.pop() if self._idle_shells else None

    def _new_shell(self, patience: float) -> RemoteShell:
        seconds = min(self._host.connect_timeout, patience)
        transport = self._client.get_transport()
        try:
            if transport is None:
                raise ConnectionDropped("it was closed")
            channel = transport.open_session(timeout=seconds)
            return RemoteShell(channel, self._host.shell_line(), Limits(seconds))
        except (paramiko.SSHException, OSError, EOFError) as fault:
            raise ConnectionDropped(str(fault)) from fault


def _connect(host: Host, login: Login, hosts: RememberedHosts, seconds: float) -> paramiko.SSHClient:
    place = f"{login.user}@{host.address} port {host.port}"
    key = private_key(login.private_key, of=login.user)
    client = paramiko.SSHClient()
    hosts.load_into(client)
    deadline = time.monotonic() + seconds
    try:
        raw = socket.create_connection((host.address, host.port), timeout=seconds)
        # paramiko leaves Nagle's algorithm on, which costs 40 ms for each command.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # The system would try for a quarter of an hour to send what nobody acknowledges, and paramiko
            # waits for it without a bound once the buffer is full.
            silence = int(host.connect_timeout * 1000)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, silence)
        left = max(0.1, deadline - time.monotonic())
        client.connect(
            host.address,
            port=host.port,
            username=login.user,
            pkey=key,
            sock=raw,
            timeout=left,
            banner_timeout=left,
            auth_timeout=left,
            channel_timeout=left,
            allow_agent=False,
            look_for_keys=False,
        )
    except paramiko.BadHostKeyException as fault:
        client.close()
        raise Unavailable(
            f"the host key of {host.address} port {host.port} has changed: it is now "
            f"{fault.key.fingerprint}. Somebody may be in between; if the change is meant, remove the "
            f"host's line from {' or '.join(str(file) for file in host.known_hosts_files())}"
        ) from None
    except paramiko.AuthenticationException:
        client.close()
        raise Unavailable(
            f"ssh: {place}: the login was refused; is the public key in the user's authorized_keys?"
        ) from None
    except (paramiko.SSHException, OSError, EOFError) as fault:
        client.close()
        raise Unavailable(f"ssh: {place}: {fault or type(fault).__name__}") from None
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(host.keepalive)
    return client
