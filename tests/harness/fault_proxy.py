"""A TCP proxy on loopback that does harm at one place of a conversation, as networks do."""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

_LARGEST = 65536
DELAY = 2.0
"""Seconds that a delayed chunk comes late."""


class Way(Enum):
    """Which way a chunk goes."""

    OUT = "→"
    """From who connects to the target."""
    BACK = "←"


class Harm(Enum):
    """What happens to a chunk."""

    CUT = "cut"
    """Its first half is passed on; then both ends are closed."""
    RESET = "reset"
    """It is lost, and both ends are told so."""
    DELAY = "delay"
    """It comes ``DELAY`` seconds late, and with it what comes after it."""
    STALL = "stall"
    """It, and what comes after it the same way, comes when the network is well again."""
    SILENCE = "silence"
    """The same, both ways."""
    GARBAGE = "garbage"
    """As many random bytes come in its place."""


@dataclass(frozen=True)
class Fault:
    """A harm to the chunk of this number, from 0, that goes this way on each connection, or just once."""

    harm: Harm
    way: Way
    chunk: int
    once: bool = False


@dataclass(frozen=True)
class Chunk:
    """Bytes that came together."""

    connection: int
    way: Way
    number: int
    """Of those that went this way on this connection, from 0."""
    data: bytes


class FaultProxy:
    """Passes bytes on to the target and back, and remembers them, until ``harm`` says otherwise."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.chunks: list[Chunk] = []
        """All since the last ``harm``, of connections made since then; those harmed too."""
        self.harmed = 0
        """How many chunks were harmed since then."""
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._well = threading.Event()
        self._well.set()
        self._open: set[_Connection] = set()
        self._made = 0
        threading.Thread(target=self._accept, name="fault-proxy", daemon=True).start()

    def harm(self, fault: Fault | None) -> None:
        """Close what is open, and do this to what is opened from now on."""
        self.drop()
        with self._lock:
            self._fault, self.chunks, self.harmed, self._made = fault, [], 0, 0
            self._well.clear()

    def heal(self) -> None:
        """No more harm. What was held up goes on its way: late, as in networks."""
        with self._lock:
            self._fault = None
        self._well.set()

    def drop(self) -> None:
        """Close all connections."""
        self.heal()
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            connection.close()

    def stop(self) -> None:
        """Take no more connections, and close all."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next one
        self._listener.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                connection = _Connection(self._made, near, far)
                self._made += 1
                self._open.add(connection)
            for way in Way:
                threading.Thread(target=self._pump, args=(connection, way), daemon=True).start()

    def _pump(self, connection: _Connection, way: Way) -> None:
        source, sink = connection.ends(way)
        try:
            while data := source.recv(_LARGEST):
                harm = self._harm_to(connection, way, data)
                if harm in (Harm.CUT, Harm.RESET):
                    if harm is Harm.CUT:
                        sink.sendall(data[: len(data) // 2])
                    connection.close(abruptly=harm is Harm.RESET)
                    return
                if harm is Harm.DELAY:
                    time.sleep(DELAY)
                if harm in (Harm.STALL, Harm.SILENCE):
                    connection.held.add(way)
                    if harm is Harm.SILENCE:
                        connection.held.update(Way)
                if way in connection.held:
                    self._well.wait()
                    connection.held.discard(way)
                sink.sendall(secrets.token_bytes(len(data)) if harm is Harm.GARBAGE else data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            connection.close()
        finally:
            with self._lock:
                if connection.ended(way):
                    self._open.discard(connection)

    def _harm_to(self, connection: _Connection, way: Way, data: bytes) -> Harm | None:
        with self._lock:
            number = connection.count(way)
            self.chunks.append(Chunk(connection.number, way, number, data))
            fault = self._fault
            if fault is None or (way, number) != (fault.way, fault.chunk):
                return None
            if fault.once and self.harmed:
                return None
            self.harmed += 1
            return fault.harm


class _Connection:
    """Both ends of one connection, and which ways of it are held up."""

    def __init__(self, number: int, near: socket.socket, far: socket.socket) -> None:
        self.number = number
        self.held: set[Way] = set()
        self._near, self._far = near, far
        self._counts = dict.fromkeys(Way, 0)
        self._ended: set[Way] = set()

    def ends(self, way: Way) -> tuple[socket.socket, socket.socket]:
        """Where chunks of this way come from, and where they go."""
        return (self._near, self._far) if way is Way.OUT else (self._far, self._near)

    def count(self, way: Way) -> int:
        """The number of the next chunk of this way."""
        self._counts[way] += 1
        return self._counts[way] - 1

    def ended(self, way: Way) -> bool:
        """Say that nothing more goes this way; whether that holds for both now."""
        self._ended.add(way)
        if self._ended == set(Way):
            self.close()
            return True
        return False

    def close(self, *, abruptly: bool = False) -> None:
        """Close both ends: with a goodbye, or with a reset."""
        for end in (self._near, self._far):
            with contextlib.suppress(OSError):
                if abruptly:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Also wakes who reads from it, without which nothing would be sent.
                end.shutdown(socket.SHUT_RD if abruptly else socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                end.close()


@contextmanager
def fault_proxy(host: str, port: int) -> Iterator[FaultProxy]:
    """A proxy before this address."""
    proxy = FaultProxy((host, port))
    try:
        yield proxy
    finally:
        proxy.stop()
