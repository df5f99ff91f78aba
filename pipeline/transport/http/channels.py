"""How ``requests`` connects: within bounds, straight or through a channel of an SSH connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import paramiko
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, SSLError

from pipeline.errors import Unavailable
from pipeline.transport.http.sockets import TimedSocket, as_socket, close_quietly

OpenChannel = Callable[[str, int, float], paramiko.Channel]
"""Opens a channel to a host's port, within seconds. Raises Unavailable."""

NOT_CONNECTED = "Failed to establish a new connection: "
"""How a NewConnectionError of urllib3 begins, after what it says of its objects."""


class ChannelAdapter(HTTPAdapter):
    """Keeps connections; each one goes through a channel of its own where ``through`` opens them.

    The time-out of a request is one for all of it. Of that, connecting takes ``connect_timeout`` seconds at
    the most. What goes wrong in connecting, TLS included, is a ConnectTimeoutError or a NewConnectionError.
    """

    def __init__(self, connections: int, connect_timeout: float, through: OpenChannel | None) -> None:
        self._connect_timeout = connect_timeout
        self._through = through
        super().__init__(pool_connections=1, pool_maxsize=connections, pool_block=True)

    def init_poolmanager(self, *args: Any, **words: Any) -> None:
        """Make the pool and tell it how to connect."""
        super().init_poolmanager(*args, **words)
        most, through = self._connect_timeout, self._through

        class Plain(_Connection):
            connect_timeout = most
            open_channel = staticmethod(through) if through else None

        class Secure(_SecureConnection):
            connect_timeout = most
            open_channel = staticmethod(through) if through else None

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


class _Connection(HTTPConnection):
    """urllib3 sets ``timeout``, also that of a kept socket, to what there is of time before each request."""

    connect_timeout: float
    open_channel: OpenChannel | None

    def connect(self) -> None:
        """Connect; ``timeout`` is what is left of the time after that.

        Nothing of a request is sent before this returns, so that one whose connecting failed may be repeated
        whatever it is. That is known here only: once there is a connection, what answers may break TLS at any
        time, and the error is the same.
        """
        deadline = time.monotonic() + cast("float", self.timeout)
        self.timeout = min(cast("float", self.timeout), self.connect_timeout)
        self._behind: paramiko.Channel | None = None
        try:
            super().connect()
        except BaseException as fault:
            if self._behind:
                close_quietly(self._behind)
            if isinstance(fault, TimeoutError):
                raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from None
            if isinstance(fault, OSError | SSLError):
                raise NewConnectionError(self, f"{NOT_CONNECTED}{fault}") from None
            raise
        self.timeout = max(0.0, deadline - time.monotonic())
        self.sock = cast("Any", TimedSocket(self.sock, self._behind))
        self.sock.settimeout(self.timeout)

    def _new_conn(self) -> Any:
        return self._through(self.open_channel) if self.open_channel else super()._new_conn()

    def _through(self, open_channel: OpenChannel) -> paramiko.Channel:
        try:
            self._behind = open_channel(self.host, self.port, cast("float", self.timeout))
        except Unavailable as fault:
            raise NewConnectionError(self, f"{NOT_CONNECTED}{fault.message}") from None
        return self._behind


class _SecureConnection(_Connection, HTTPSConnection):
    def _new_conn(self) -> Any:
        if not self.open_channel:
            return super()._new_conn()
        # The ssl module takes nothing but a socket of the system.
        near = as_socket(self._through(self.open_channel))
        near.settimeout(self.timeout)
        return near
