"""What lets ``requests`` speak through a channel of an SSH connection."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable
from typing import Any, cast

import paramiko
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from pipeline.errors import Unavailable

OpenChannel = Callable[[str, int], paramiko.Channel]
"""Opens a channel to a host's port. Raises Unavailable."""

_CHUNK = 64 * 1024


class ChannelAdapter(HTTPAdapter):
    """Keeps connections; each one goes through a channel of its own where ``through`` opens them."""

    def __init__(self, connections: int, through: OpenChannel | None) -> None:
        self._through = through
        super().__init__(pool_connections=1, pool_maxsize=connections, pool_block=True)

    def init_poolmanager(self, *args: Any, **words: Any) -> None:
        """Make the pool and tell it how to connect."""
        super().init_poolmanager(*args, **words)
        if self._through:
            through = self._through

            class Plain(_ChannelConnection):
                open_channel = staticmethod(through)

            class Secure(_SecureChannelConnection):
                open_channel = staticmethod(through)

            class PlainPool(HTTPConnectionPool):
                ConnectionCls = Plain

            class SecurePool(HTTPSConnectionPool):
                ConnectionCls = Secure

            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


class _ChannelConnection(HTTPConnection):
    open_channel: OpenChannel

    def _new_conn(self) -> socket.socket:
        return cast("socket.socket", _ChannelSocket(_open(self, self.open_channel)))


class _SecureChannelConnection(HTTPSConnection):
    open_channel: OpenChannel

    def _new_conn(self) -> socket.socket:
        # The ssl module takes nothing but a socket of the system.
        return _as_socket(_open(self, self.open_channel))


def _open(connection: HTTPConnection, open_channel: OpenChannel) -> paramiko.Channel:
    try:
        return open_channel(connection.host, connection.port)
    except Unavailable as fault:
        raise NewConnectionError(
            connection, f"Failed to establish a new connection: {fault.message}"
        ) from None


class _ChannelSocket:
    """A channel with all that http.client and urllib3 ask of a socket."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._readers = 0
        self._is_closed = False
        self.sendall = channel.sendall
        self.settimeout = channel.settimeout
        self.fileno = channel.fileno

    def makefile(self, mode: str) -> io.BufferedReader:
        """What the answer is read from."""
        self._readers += 1
        return io.BufferedReader(_ChannelReader(self._channel, self._reader_closed))

    def close(self) -> None:
        """Close the channel once nobody reads any more: http.client closes before the last answer is read."""
        self._is_closed = True
        if not self._readers:
            with contextlib.suppress(OSError, EOFError):
                self._channel.close()

    def _reader_closed(self) -> None:
        self._readers -= 1
        if self._is_closed:
            self.close()


class _ChannelReader(io.RawIOBase):
    """A channel as a file; paramiko's own waits until all is there that was asked for."""

    def __init__(self, channel: paramiko.Channel, on_close: Callable[[], None]) -> None:
        self._channel = channel
        self._on_close = on_close

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come, at least a byte; nothing at the end."""
        data = self._channel.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Tell, once."""
        if not self.closed:
            super().close()
            self._on_close()


def _as_socket(channel: paramiko.Channel) -> socket.socket:
    """A socket whose bytes go through the channel, both ways, until either side closes."""
    near, far = socket.socketpair()
    for source, target in ((far, channel), (channel, far)):
        threading.Thread(target=_copy, args=(source, target), name="tls-through-ssh", daemon=True).start()
    return near


def _copy(source: socket.socket | paramiko.Channel, target: socket.socket | paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError, EOFError):
            end.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError):
            end.close()
