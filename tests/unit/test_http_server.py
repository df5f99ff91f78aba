"""The end of the HTTP server, seen from its sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from pipeline.cli.http_server import HttpServer
from tests.harness.waiting import eventually, within

LONG = b"x" * 20_000_000
"""More than the system takes before the client reads."""

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Running:
    """The server in a thread."""

    def __init__(self, application: Callable[..., list[bytes]], patience: float) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.server = HttpServer(application, self._listener, threading.Event(), threads=4)
        self.thread = threading.Thread(target=self.server.serve, args=(patience,), daemon=True)
        self.thread.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(application: Callable[..., list[bytes]], patience: float = 10) -> Running:
        started.append(Running(application, patience))
        return started[-1]

    yield start
    for one in started:
        one.server.end()
        one.thread.join(15)
        assert not one.thread.is_alive()


def say(body: bytes) -> Callable[..., list[bytes]]:
    def application(environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return application


def test_a_reply_that_is_still_being_read_arrives_whole(serve: Callable[..., Running]) -> None:
    running = serve(say(LONG))
    with running.connect() as client:
        client.sendall(ASK)
        received = len(client.recv(1000))
        running.server.end()
        assert running.thread.is_alive()
        while piece := client.recv(1 << 20):
            received += len(piece)
    assert received > len(LONG)
    running.thread.join(5)
    assert not running.thread.is_alive()


def test_who_does_not_read_holds_nothing_up(serve: Callable[..., Running]) -> None:
    running = serve(say(LONG), patience=0.3)
    with running.connect() as client:
        client.sendall(ASK)
        client.recv(1000)
        with within(2):
            running.server.end()
            running.thread.join(5)
            assert not running.thread.is_alive()


def test_who_is_in_the_middle_of_a_request_or_asks_for_nothing_holds_nothing_up(
    serve: Callable[..., Running],
) -> None:
    running = serve(say(b"hello"))
    with running.connect() as slow, running.connect() as idle:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        idle.sendall(ASK)
        received = b""
        while not received.endswith(b"hello"):
            received += idle.recv(1000)
        running.server.end()
        running.thread.join(5)
        assert not running.thread.is_alive()
        assert (slow.recv(1000), idle.recv(1000)) == (b"", b"")


def test_requests_that_wait_for_a_thread_are_answered_too(serve: Callable[..., Running]) -> None:
    go_on, asked = threading.Event(), threading.Semaphore(0)

    def slow(environ: object, start_response: Callable[..., object]) -> list[bytes]:
        asked.release()
        go_on.wait(10)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    running = serve(slow)
    clients = [running.connect() for _ in range(12)]
    for client in clients:
        client.sendall(ASK)
    for _ in range(4):
        assert asked.acquire(timeout=10)
    active = running.server._server.active_channels
    eventually(lambda: sum(bool(channel.requests) for channel in active.values()) == 12, pause=0.01)
    running.server.end()
    go_on.set()
    for client in clients:
        with client:
            reply = b""
            while piece := client.recv(1000):
                reply += piece
        assert reply.endswith(b"hello")
        assert b"Connection: close" in reply
