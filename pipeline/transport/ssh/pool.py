"""Kept connections: one for each user, bounded in number, closed when idle."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.circuit import Circuit
from pipeline.errors import Unavailable, Unreachable
from pipeline.transport import Completed, Limits
from pipeline.transport.ssh.connection import Connection
from pipeline.transport.ssh.host import Host
from pipeline.transport.ssh.login import Login
from pipeline.transport.ssh.shell import CommandTimedOut, ConnectionDropped, OutputTooLarge
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)

_HANDSHAKES = 4
"""New connections at the same time; sshd starts to drop them at ten (MaxStartups, sshd_config(5))."""


class SshTransport:
    """Runs lines of bash on a host as any of several users. Safe for any number of threads.

    The time that a command has includes connecting, waiting for a channel, and a second try.
    """

    def __init__(self, host: Host, *, max_connections: int = 64, idle_timeout: float = 300) -> None:
        self._host = host
        self._max_connections = max_connections
        self._idle_timeout = idle_timeout
        self._connections: OrderedDict[Login, Connection] = OrderedDict()
        self._connecting: dict[Login, OneForAll] = {}
        self._lock = threading.Lock()
        self._handshakes = threading.BoundedSemaphore(_HANDSHAKES)
        self._circuit = Circuit(f"ssh: {host.address} port {host.port}")
        """For new connections: what is asked over one that is kept says nothing of sshd."""

    def run(self, login: Login, line: str, limits: Limits, stdin: bytes = b"") -> Completed:
        """Run a line of bash as a user. The line must be safe to repeat.

        A kept connection may have dropped unnoticed, so a drop is tried once more on a new one.

        Raises:
            Unreachable: the host does not answer, or the command took too long.
            Unavailable: it lets the user not in, drops the connection; the command printed too much.
        """
        place = f"{login.user}@{self._host.address}"
        deadline = time.monotonic() + limits.seconds
        try:
            try:
                return self._run_once(login, line, limits, stdin, deadline)
            except ConnectionDropped as fault:
                _log.info("ssh: %s: connection dropped (%s), connecting again", place, fault)
                return self._run_once(login, line, limits, stdin, deadline)
        except ConnectionDropped as fault:
            raise Unavailable(f"ssh: {place}: the connection dropped: {fault}") from None
        except CommandTimedOut:
            raise Unreachable(f"ssh: {place}: no answer within {limits.seconds:g} s") from None
        except OutputTooLarge:
            raise Unavailable(f"ssh: {place}: the answer has more than {limits.output_bytes} bytes") from None

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            connections = list(self._connections.values())
            self._connections.clear()
        for connection in connections:
            connection.close()

    def _run_once(self, login: Login, line: str, limits: Limits, stdin: bytes, deadline: float) -> Completed:
        connection = self._take(login, deadline)
        try:
            with connection.shell(_left(deadline)) as shell:
                return shell.run(line, stdin, Limits(_left(deadline), limits.output_bytes))
        except (ConnectionDropped, CommandTimedOut):
            # After a time-out too: a connection that was cut without a word looks like a slow one.
            connection.retired = True
            raise
        finally:
            self._give_back(login, connection)

    def _take(self, login: Login, deadline: float) -> Connection:
        """The user's connection, counted as used, so that it is not closed as an idle one."""
        place = f"{login.user}@{self._host.address}"
        patience = _left(deadline)
        with self._lock:
            connecting = self._connecting.setdefault(login, OneForAll())
        with connecting.turn(f"ssh: {place}: no connection within {patience:.1f} s", patience):
            with self._lock:
                kept = self._connections.get(login)
                if kept and kept.alive and not kept.retired:
                    self._connections.move_to_end(login)
                    kept.users += 1
                    return kept
            with self._circuit.call(), self._handshake(place, deadline):
                connection = Connection(self._host, login, _left(deadline))
            with self._lock:
                connection.users += 1
                self._connections[login] = connection
            return connection

    @contextmanager
    def _handshake(self, place: str, deadline: float) -> Iterator[None]:
        """Be one of the few who connect. Raises Unavailable when others do until then: nobody was asked."""
        patience = _left(deadline)
        if not self._handshakes.acquire(timeout=patience):
            raise Unavailable(f"ssh: {place}: others were connecting for all of {patience:.1f} s")
        try:
            yield
        finally:
            self._handshakes.release()

    def _give_back(self, login: Login, connection: Connection) -> None:
        with self._lock:
            connection.users -= 1
            if connection.retired and self._connections.get(login) is connection:
                del self._connections[login]
            surplus = self._surplus()
            if connection.retired and connection.users == 0:
                surplus.append(connection)
        for old in surplus:
            old.close()

    def _surplus(self) -> list[Connection]:
        """Take out what is dead, idle for too long, or over the bound; the longest idle first."""
        horizon = time.monotonic() - self._idle_timeout
        surplus = []
        for login, connection in list(self._connections.items()):
            too_many = len(self._connections) > self._max_connections
            if connection.users == 0 and (too_many or not connection.alive or connection.last_used < horizon):
                surplus.append(self._connections.pop(login))
        return surplus


def _left(deadline: float) -> float:
    """Seconds until then. Raises CommandTimedOut when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise CommandTimedOut
    return left
