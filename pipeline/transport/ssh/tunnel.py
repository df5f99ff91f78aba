"""Channels through the far side to hosts that only it can reach, as ``ssh -W`` opens them."""

from __future__ import annotations

import logging
import threading
import time

import paramiko

from pipeline.errors import Unavailable
from pipeline.transport.ssh.connection import Connection
from pipeline.transport.ssh.host import Host
from pipeline.transport.ssh.login import Login
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)

_FAIR = 2.0
"""Seconds without an answer that say that nobody is there; a request with less time left tells nothing."""


class Tunnel:
    """One connection of its own, made again when it drops. Safe for any number of threads.

    Not the connection that runs commands: that one is given up when a command takes too long, and
    what goes through here must not be cut off with it.
    """

    def __init__(self, host: Host, login: Login) -> None:
        self._host = host
        self._login = login
        self._place = f"{login.user}@{host.address}"
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._connecting = OneForAll()

    def open(self, address: str, port: int, seconds: float) -> paramiko.Channel:
        """A channel to a port that the far side connects to.

        A connection on which that is not answered is closed with all its channels: a firewall that has
        forgotten it lets nothing through any more, and says nothing.

        Raises:
            Unavailable: the far side cannot be reached, or cannot connect, within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        connection = self._live(deadline)
        asked = time.monotonic()
        try:
            return connection.forward(address, port, max(0.0, deadline - asked))
        except paramiko.ChannelException as fault:
            reason: object = fault.args[1]
        except (paramiko.SSHException, OSError, EOFError) as fault:
            reason = fault
            if not connection.alive or time.monotonic() - asked >= min(_FAIR, self._host.connect_timeout / 2):
                self._give_up(connection)
        raise Unavailable(f"{self._place} cannot connect to {address} port {port}: {reason}")

    def close(self) -> None:
        """Close the connection and every channel on it."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _give_up(self, connection: Connection) -> None:
        with self._lock:
            if self._connection is connection:
                self._connection = None
                _log.info("ssh: %s: the connection for channels does not answer, it is given up", self._place)
        connection.close()

    def _live(self, deadline: float) -> Connection:
        """The connection, made by one for all; each waits for its own time."""
        patience = deadline - time.monotonic()
        with self._connecting.turn(f"ssh: {self._place}: no connection within {patience:.1f} s", patience):
            with self._lock:
                if self._connection and self._connection.alive:
                    return self._connection
            left = max(0.1, deadline - time.monotonic())
            connection = Connection(self._host, self._login, left)
            with self._lock:
                self._connection = connection
            return connection
