"""Connections that bring their requests byte by byte: they end, and others are answered meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from pipeline.cli.http_server import HttpServer
from pipeline.cli.slow_clients import LIMITS


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@pytest.fixture
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()
    limits = LIMITS | {"channel_timeout": 1, "cleanup_interval": 0}
    server = HttpServer(application, listener, ending, threads=2, **limits)
    thread = threading.Thread(target=lambda: server.serve(1))
    thread.start()
    port = listener.getsockname()[1]
    yield port
    ending.set()
    with contextlib.suppress(ConnectionRefusedError):  # it has ended already
        socket.create_connection(("127.0.0.1", port)).close()  # so that it looks at once
    thread.join()


def drip(connection: socket.socket, text: bytes) -> bytes:
    """Send byte by byte; what came back when the server had enough."""
    for at in range(len(text)):
        try:
            connection.sendall(text[at : at + 1])
            connection.settimeout(0.05)
            return connection.recv(1000)
        except TimeoutError:
            continue
        except OSError:
            return b""
    raise AssertionError(f"the server has waited for all {len(text)} bytes")


@pytest.mark.parametrize(
    "begun", [b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\n"]
)
def test_a_request_that_drips_in_is_given_up_however_steadily(port: int, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(begun)
        assert drip(connection, b"x" * 200) == b""


def test_a_connection_is_kept_for_one_whole_request_after_another(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            connection.sendall(b"\r\n")
            reply = b""
            while not reply.endswith(b"ok"):
                reply += connection.recv(1000)
            assert reply.startswith(b"HTTP/1.1 200")


def test_a_header_that_is_too_large_is_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (33 * 1024))
        assert connection.recv(1000).startswith(b"HTTP/1.0 431")
