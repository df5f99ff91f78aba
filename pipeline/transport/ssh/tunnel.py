"""Channels through the far side to hosts that only it can reach, as ``ssh -W`` opens them."""

from __future__ import annotations

import threading

import paramiko

from pipeline.errors import Unavailable
from pipeline.transport.ssh.connection import Connection, Host, Login
from pipeline.transport.ssh.keys import RememberedHosts


class Tunnel:
    """One connection of its own, made again when it drops. Safe for any number of threads.

    Not the connection that runs commands: that one is given up when a command takes too long, and
    what goes through here must not be cut off with it.
    """

    def __init__(self, host: Host, login: Login) -> None:
        self._host = host
        self._login = login
        self._hosts = RememberedHosts(host.known_hosts, host.site_known_hosts)
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def open(self, address: str, port: int) -> paramiko.Channel:
        """A channel to a port that the far side connects to.

        Raises:
            Unavailable: the far side cannot be reached, or cannot connect.
        """
        try:
            return self._live().forward(address, port)
        except (paramiko.SSHException, OSError, EOFError) as fault:
            reason = fault.args[1] if isinstance(fault, paramiko.ChannelException) else fault
            raise Unavailable(
                f"{self._login.user}@{self._host.address} cannot connect to {address} port {port}: {reason}"
            ) from None

    def close(self) -> None:
        """Close the connection and every channel on it."""
        with self._lock:
            if self._connection:
                self._connection.close()

    def _live(self) -> Connection:
        with self._lock:
            if self._connection is None or not self._connection.alive:
                self._connection = Connection(self._host, self._login, self._hosts)
            return self._connection
