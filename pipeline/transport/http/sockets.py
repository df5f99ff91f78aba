"""What http.client and urllib3 take for a socket: its time-out holds in total, over any way of bytes."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from typing import Any

import paramiko

_CHUNK = 64 * 1024

_FAULTS = (OSError, EOFError, paramiko.SSHException)
"""What a socket or a channel raises."""


class TimedSocket:
    """A socket or a channel whose time-out is one for all that follows, and not for each piece of it."""

    def __init__(self, way: socket.socket | paramiko.Channel, behind: paramiko.Channel | None) -> None:
        """``behind`` is closed with it."""
        self._way = way
        self._behind = behind
        self._deadline: float | None = None
        self._readers = 0
        self._is_closed = False
        self.fileno = way.fileno

    def settimeout(self, seconds: float | None) -> None:
        """So much for everything from now on, up to the next call of this; without a number, no bound."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def sendall(self, data: Any) -> None:
        """Send everything.

        Raises:
            TimeoutError: it was not taken in time.
            OSError: the other side has gone, or cannot be sent anything.
        """
        rest = memoryview(data)
        while rest:
            self._wind_up()
            try:
                sent = self._way.send(bytes(rest[:_CHUNK]))
            except (EOFError, paramiko.SSHException) as fault:
                raise _as_os_error(fault) from None
            if not sent:
                raise BrokenPipeError("the channel is closed")
            rest = rest[sent:]

    def receive(self, size: int) -> bytes:
        """What has come, at least a byte; nothing at the end. Raises what ``sendall`` does."""
        self._wind_up()
        try:
            return self._way.recv(size)
        except (EOFError, paramiko.SSHException) as fault:
            raise _as_os_error(fault) from None

    def makefile(self, mode: str) -> io.BufferedReader:
        """What the answer is read from."""
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close once nobody reads any more: http.client closes before the last answer is read."""
        self._is_closed = True
        if not self._readers:
            for end in (self._way, self._behind):
                if end:
                    close_quietly(end)

    def reader_closed(self) -> None:
        """One that ``makefile`` made has been closed."""
        self._readers -= 1
        if self._is_closed:
            self.close()

    def _wind_up(self) -> None:
        left = None if self._deadline is None else self._deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("timed out")
        self._way.settimeout(left)


class _Reader(io.RawIOBase):
    """A file that is read from; paramiko's own waits until all is there that was asked for."""

    def __init__(self, source: TimedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come, at least a byte; nothing at the end."""
        data = self._source.receive(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Tell, once."""
        if not self.closed:
            super().close()
            self._source.reader_closed()


def as_socket(channel: paramiko.Channel) -> socket.socket:
    """A socket whose bytes go through the channel, both ways, until either side closes.

    Who closes it before everything was taken has to close the channel too.
    """
    near, far = socket.socketpair()
    for source, target in ((far, channel), (channel, far)):
        threading.Thread(target=_copy, args=(source, target), name="tls-through-ssh", daemon=True).start()
    return near


def close_quietly(end: socket.socket | paramiko.Channel) -> None:
    """Close, whatever state it is in."""
    with contextlib.suppress(*_FAULTS):
        end.close()


def _copy(source: socket.socket | paramiko.Channel, target: socket.socket | paramiko.Channel) -> None:
    with contextlib.suppress(*_FAULTS):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(*_FAULTS):
            end.shutdown(socket.SHUT_RDWR)
        close_quietly(end)


def _as_os_error(fault: Exception) -> OSError:
    """What paramiko says in a way of its own, as the users of sockets expect it."""
    return OSError(str(fault) or type(fault).__name__)
