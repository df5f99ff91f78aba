"""An HTTP server in this process; a test says what happens to each request."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Reaction = Callable[[socket.socket], bool]
"""What happens on a connection whose request was read; whether the connection stays open."""


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    """By names in small letters."""
    body: bytes


def reply(
    body: bytes = b"ok", status: int = 200, *, keep: bool = True, length: int | None = None
) -> Reaction:
    """Answer; ``length`` is what Content-Length says in place of the truth."""
    size = len(body) if length is None else length

    def react(connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n\r\n".encode() + body)
        return keep

    return react


def say(data: bytes) -> Reaction:
    """Send these bytes and close."""

    def react(connection: socket.socket) -> bool:
        connection.sendall(data)
        return False

    return react


def say_goodbye(body: bytes) -> Reaction:
    """Answer with no length but the end of the connection, which is announced; the body comes late."""

    def react(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 X\r\nConnection: Close\r\n\r\n")
        time.sleep(0.05)  # the client has read the headers by then
        connection.sendall(body)
        return False

    return react


def hang_up(connection: socket.socket) -> bool:
    """Close without a word."""
    return False


class HttpServer:
    """Reacts to each request with the next of ``reactions``, and to those after them with a reply."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.reactions: list[Reaction] = []
        self.requests: list[Request] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)
        """Released for each connection that this side has closed."""
        self.sips: int | None = None
        """Bytes of a request that are taken every 20 ms, with no answer; 0 for a server that is deaf."""
        self.over = threading.Event()
        """Set at the end: what a reaction waits for."""
        self._tls = tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, name="http-server", daemon=True).start()

    def drip(self, connection: socket.socket) -> bool:
        """Answer a byte at a time, each after a while, for as long as somebody listens."""
        connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
        while not self.over.wait(0.02):
            connection.sendall(b".")
        return False

    def drip_headers(self, connection: socket.socket) -> bool:
        """The same, with a header, for five seconds."""
        connection.sendall(b"HTTP/1.1 200 X\r\nX-Header: ")
        for _ in range(250):
            if self.over.wait(0.02):
                break
            connection.sendall(b".")
        return False

    def stall(self, connection: socket.socket) -> bool:
        """Say nothing until the end."""
        self.over.wait(20)
        return False

    def stop(self) -> None:
        """Take no more connections."""
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next one
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self.connections += 1
            if self.sips is not None:
                with connection:
                    while not self.over.wait(0.02):
                        connection.recv(self.sips)
                return
            with connection, connection.makefile("rb") as source:
                while line := source.readline():
                    headers = {}
                    while (header := source.readline().decode("latin-1").strip()) != "":
                        name, _, value = header.partition(":")
                        headers[name.lower()] = value.strip()
                    body = source.read(int(headers.get("content-length", 0)))
                    with self._lock:
                        self.requests.append(Request(line.decode("latin-1").strip(), headers, body))
                        reaction = self.reactions.pop(0) if self.reactions else reply()
                    if not reaction(connection):
                        break
        self.closed.release()
