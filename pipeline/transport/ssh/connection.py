"""One SSH connection as one user, with a bounded number of remote shells on it."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from pipeline.errors import Unavailable, Unreachable
from pipeline.transport import Limits
from pipeline.transport.ssh.host import Host
from pipeline.transport.ssh.host_keys import HostKeys
from pipeline.transport.ssh.login import Login
from pipeline.transport.ssh.shell import ConnectionDropped, RemoteShell

_log = logging.getLogger(__name__)

_FAIR = 2.0
"""Seconds without an answer that say that nobody is there."""

_UNANSWERED = ("Authentication timeout.", "transport shut down or saw EOF")
"""How paramiko's messages end where a login was not refused."""


class Connection:
    """A connection that is open until it is closed or drops."""

    def __init__(self, host: Host, login: Login, patience: float) -> None:
        """Connect in ``patience`` seconds where the host's ``connect_timeout`` is longer; then log in.

        Logging in may take what connecting has left of that time.

        Raises:
            Unreachable: the host does not answer.
            Unavailable: says what else failed: the host key, the login.
        """
        self._host = host
        self._client = _connect(host, login, min(host.connect_timeout, patience))
        self._free_channels = threading.BoundedSemaphore(host.channels)
        self._idle_shells: list[RemoteShell] = []
        self._lock = threading.Lock()
        self.users = 0
        self.retired = False
        self.last_used = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the connection was not closed by either side.

        paramiko's thread for it can stumble over a channel that is just being opened as the far side goes
        away, and then never says that the connection is not active any more.
        """
        transport = self._client.get_transport()
        return transport is not None and transport.is_active() and transport.is_alive()

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


def _connect(host: Host, login: Login, seconds: float) -> paramiko.SSHClient:
    place = f"{login.user}@{host.address} port {host.port}"
    key, host_keys = login.key(host.authority), HostKeys(host)
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(host_keys)
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
            transport_factory=host_keys.transport,
        )
    except Unavailable:
        client.close()
        raise
    except paramiko.AuthenticationException as fault:
        client.close()
        if str(fault).endswith(_UNANSWERED):
            raise Unavailable(f"ssh: {place}: no answer to the login: {fault}") from None
        raise Unavailable(f"ssh: {place}: the login was refused; {_look_at(host, login)}") from None
    except Exception as fault:  # paramiko passes on whatever its thread stumbled over in the far side's words
        client.close()
        # Who has little time left for it, or speaks another SSH, cannot tell whether others are answered.
        is_fair = seconds >= min(_FAIR, host.connect_timeout / 2)
        kind = Unreachable if is_fair and not isinstance(fault, IncompatiblePeer) else Unavailable
        # paramiko has several messages for a server that does not go on, none of them about time.
        is_late = type(fault) is paramiko.SSHException and time.monotonic() >= deadline
        told = "SSH did not begin in time" if is_late else str(fault) or type(fault).__name__
        if not isinstance(fault, paramiko.SSHException | OSError | EOFError):
            _log.debug("ssh: %s: paramiko has stumbled", place, exc_info=fault)
        raise kind(f"ssh: {place}: {told}") from None
    transport = client.get_transport()
    if transport is not None:
        transport.set_keepalive(host.keepalive)
    return client


def _look_at(host: Host, login: Login) -> str:
    """What to look at when a login was refused."""
    if login.private_key or not host.authority:
        return "is the public key in the user's authorized_keys?"
    return (
        f"does sshd take certificates of {host.authority.fingerprint} (TrustedUserCAKeys), may this user log "
        "in with one, and are both clocks right? sshd's log has the reason"
    )
