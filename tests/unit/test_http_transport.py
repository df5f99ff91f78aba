"""HTTP: what is repeated and what is not, bounds on time and size, certificates, kept connections."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPResponse

from pipeline.errors import Unavailable
from pipeline.transport import HttpReply, Limits
from pipeline.transport.http import AnswerLost, HttpRequest, HttpTransport, client
from tests.harness.certificates import Authority
from tests.harness.http_server import HttpServer, Reaction, hang_up, reply, say
from tests.harness.service import free_port
from tests.harness.waiting import eventually, within

LIMITS = Limits(seconds=10)
SHORT = Limits(seconds=0.3)
GET = HttpRequest("GET", "/some/path", {"X-Token": "secret"}, repeatable=True)
POST = HttpRequest("POST", "/some/path", {"X-Token": "secret"}, b'{"a": 1}')
LARGE = bytes(16 * 1024 * 1024)
"""More than all buffers on the way take."""

Connect = Callable[..., HttpTransport]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are short here."""
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.02))


@pytest.fixture
def server() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.stop()


@pytest.fixture
def connect(server: HttpServer) -> Iterator[Connect]:
    """Makes transports, to the server unless a test says otherwise."""
    transports: list[HttpTransport] = []

    def make(url: str = server.url, **words: Any) -> HttpTransport:
        transports.append(HttpTransport(url, **{"connections": 4, "connect_timeout": 5.0, **words}))
        return transports[-1]

    yield make
    for transport in transports:
        transport.close()


CUT_OFF: dict[str, Reaction] = {
    "before the answer": hang_up,
    "within the status": say(b"HTTP/1.1 2"),
    "within the body": reply(b"half", length=8, keep=False),
    "with garbage": say(b"\x00\xffgarbage\r\n\r\n"),
}


def test_an_answer_has_its_status_and_its_body_whatever_they_are(
    connect: Connect, server: HttpServer
) -> None:
    server.reactions = [reply(b"gone", 404), reply(b"", 500), reply(b"moved", 302)]
    transport = connect()
    assert [transport.ask(POST, LIMITS) for _ in range(3)] == [
        HttpReply(404, b"gone"),
        HttpReply(500, b""),
        HttpReply(302, b"moved"),
    ]
    assert server.requests[0].line == "POST /some/path HTTP/1.1"
    assert (server.requests[0].headers["x-token"], server.requests[0].body) == ("secret", b'{"a": 1}')
    assert "transfer-encoding" not in server.requests[0].headers


@pytest.mark.parametrize("how", CUT_OFF)
def test_what_may_be_repeated_is_asked_again_when_it_is_cut_off(
    connect: Connect, server: HttpServer, how: str
) -> None:
    server.reactions = [CUT_OFF[how], CUT_OFF[how]]
    assert connect().ask(GET, LIMITS) == HttpReply(200, b"ok")
    assert len(server.requests) == 3


@pytest.mark.parametrize("how", CUT_OFF)
def test_what_is_cut_off_each_time_is_given_up(connect: Connect, server: HttpServer, how: str) -> None:
    server.reactions = [CUT_OFF[how]] * 10
    with pytest.raises(Unavailable, match=f"^{server.url}: ") as fault:
        connect().ask(GET, LIMITS)
    assert len(server.requests) == 3
    assert " object at 0x" not in fault.value.message
    assert "Pool" not in fault.value.message


@pytest.mark.parametrize("how", CUT_OFF)
def test_what_may_not_be_repeated_is_sent_once(connect: Connect, server: HttpServer, how: str) -> None:
    server.reactions = [CUT_OFF[how]]
    with pytest.raises(AnswerLost, match=f"^{server.url}: "):
        connect().ask(POST, LIMITS)
    assert len(server.requests) == 1


def test_a_port_that_nobody_listens_on_is_told(connect: Connect) -> None:
    port = free_port()
    for request in (GET, POST):
        with pytest.raises(Unavailable, match=f"^http://127.0.0.1:{port}: .*refused"):
            connect(f"http://127.0.0.1:{port}").ask(request, LIMITS)


def test_a_server_that_comes_up_meanwhile_is_sent_a_request_that_may_not_be_repeated(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    listener: list[socket.socket] = []

    def come_up(seconds: float) -> None:
        listener.append(socket.create_server(("127.0.0.1", port)))
        threading.Thread(target=_answer_once, args=(listener[0],), daemon=True).start()

    monkeypatch.setattr(time, "sleep", come_up)
    assert connect(f"http://127.0.0.1:{port}").ask(POST, LIMITS) == HttpReply(200, b"ok")
    listener[0].close()


def _answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        reply()(connection)


def test_a_name_that_does_not_resolve_is_told(connect: Connect) -> None:
    with pytest.raises(Unavailable, match=r"^http://no-such-host\.invalid:6820: "):
        connect("http://no-such-host.invalid:6820").ask(POST, LIMITS)


def test_connections_are_kept(connect: Connect, server: HttpServer) -> None:
    transport = connect()
    for request in (GET, POST) * 5:
        assert transport.ask(request, LIMITS).status == 200
    assert server.connections == 1


def test_many_at_once_share_a_bounded_number_of_connections(connect: Connect, server: HttpServer) -> None:
    transport = connect(connections=3)
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: transport.ask(POST, LIMITS), range(60)))
    assert replies == [HttpReply(200, b"ok")] * 60
    assert server.connections <= 3


def test_who_waits_for_a_connection_waits_no_longer_than_for_an_answer(
    connect: Connect, server: HttpServer
) -> None:
    server.reactions = [server.stall]
    transport = connect(connections=1)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(transport.ask, POST, LIMITS)
        eventually(lambda: server.requests, seconds=5, pause=0.01)
        with pytest.raises(Unavailable, match=r"all 1 connections stayed busy for 0\.\d s"):
            transport.ask(POST, SHORT)
        server.over.set()
        with pytest.raises(AnswerLost):
            slow.result(5)
    assert len(server.requests) == 1


def test_a_kept_connection_that_the_server_has_closed_is_not_used(
    connect: Connect, server: HttpServer
) -> None:
    """A request that may not be repeated is not lost on it."""
    transport = connect()
    for _ in range(3):
        server.reactions = [reply(keep=False)]
        assert transport.ask(POST, LIMITS).status == 200
        assert server.closed.acquire(timeout=5)
    assert (server.connections, len(server.requests)) == (3, 3)


def test_an_answer_that_does_not_come_in_time_is_given_up_at_once(
    connect: Connect, server: HttpServer
) -> None:
    server.reactions = [server.stall] * 4
    with within(2):
        with pytest.raises(Unavailable, match=r"no answer within 0\.3 s"):
            connect().ask(GET, SHORT)
        with pytest.raises(AnswerLost, match=r"no answer within 0\.3 s"):
            connect().ask(POST, SHORT)
    assert len(server.requests) == 2


def test_the_time_holds_for_the_whole_answer_and_not_for_each_part_of_it(
    connect: Connect, server: HttpServer
) -> None:
    server.reactions = [server.drip] * 4
    for request, kind in ((GET, Unavailable), (POST, AnswerLost)):
        with within(2), pytest.raises(kind, match=r"no answer within 0\.3 s"):
            connect().ask(request, SHORT)
    assert len(server.requests) == 2


def test_the_time_holds_for_headers_that_drip_in(connect: Connect, server: HttpServer) -> None:
    server.reactions = [server.drip_headers] * 2
    for request, kind in ((GET, Unavailable), (POST, AnswerLost)):
        with within(2), pytest.raises(kind, match=r"no answer within 0\.3 s"):
            connect().ask(request, SHORT)
    assert len(server.requests) == 2


@pytest.mark.parametrize("sips", [0, 1000])
def test_the_time_holds_for_a_request_that_is_not_taken(
    connect: Connect, server: HttpServer, sips: int
) -> None:
    server.sips = sips
    with within(2), pytest.raises(AnswerLost, match=r"no answer within 0\.3 s"):
        connect().ask(HttpRequest("POST", "/", {}, LARGE), SHORT)


def test_a_request_that_is_over_does_not_shorten_the_time_of_the_next_on_its_connection(
    connect: Connect, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_two_parts(connection: socket.socket) -> bool:
        over.wait(5)
        connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n")
        server.over.wait(0.7)
        connection.sendall(b"ok")
        return True

    def read_and_wait(response: HTTPResponse, *args: Any, **words: Any) -> bytes:
        data = read(response, *args, **words)
        if not following:  # the connection is back in the pool, the reader has yet to come back
            following.append(pool.submit(transport.ask, POST, LIMITS))
            eventually(lambda: len(server.requests) == 2, seconds=5, pause=0.01)
        return data

    read, following, over = HTTPResponse.read1, list[Future[HttpReply]](), threading.Event()
    server.reactions = [reply(), in_two_parts]
    transport = connect()
    monkeypatch.setattr(HTTPResponse, "read1", read_and_wait)
    with ThreadPoolExecutor(1) as pool:
        assert transport.ask(GET, Limits(seconds=0.5)).status == 200
        over.set()
        assert following[0].result(5).status == 200
    assert server.connections == 1


def test_an_answer_that_stops_half_way_is_given_up_in_the_same_time(
    connect: Connect, server: HttpServer
) -> None:
    def half(connection: socket.socket) -> bool:
        server.over.wait(2.0)
        reply(b"half", length=8)(connection)
        return server.stall(connection)

    server.reactions = [half]
    with within(4.2), pytest.raises(AnswerLost, match=r"no answer within 2\.5 s"):
        connect().ask(POST, Limits(seconds=2.5))


def test_a_port_that_takes_no_connection_is_given_up_in_time(connect: Connect) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        with within(2), pytest.raises(Unavailable, match=r"no connection within 0\.2 s"):
            connect(f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.2).ask(POST, SHORT)
        for each in waiting:
            each.close()


def test_an_answer_that_is_too_large_is_not_taken_and_not_asked_for_again(
    connect: Connect, server: HttpServer
) -> None:
    limits = Limits(seconds=10, output_bytes=1000)
    server.reactions = [reply(b"x" * 1000), reply(b"x" * 1001), reply(b"x" * 1001)]
    transport = connect()
    assert len(transport.ask(GET, limits).body) == 1000
    with pytest.raises(Unavailable, match="more than 1000 bytes"):
        transport.ask(GET, limits)
    with pytest.raises(AnswerLost, match="more than 1000 bytes"):
        transport.ask(POST, limits)
    assert len(server.requests) == 3


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[HttpServer, Authority]]:
    authority = Authority(tmp_path / "authority")
    server = HttpServer(authority.server())
    yield server, authority
    server.stop()


def test_https_with_a_ca_file(connect: Connect, tls: tuple[HttpServer, Authority]) -> None:
    server, authority = tls
    transport = connect(server.url, ca_file=authority.ca_file)
    assert [transport.ask(POST, LIMITS) for _ in range(3)] == [HttpReply(200, b"ok")] * 3
    assert server.connections == 1


def test_a_server_that_nobody_vouches_for_is_sent_nothing(
    connect: Connect, tls: tuple[HttpServer, Authority], tmp_path: Path
) -> None:
    server, _ = tls
    for ca_file, request in ((None, GET), (Authority(tmp_path / "another").ca_file, POST)):
        with pytest.raises(Unavailable, match=r"(?i)certificate verify failed"):
            connect(server.url, ca_file=ca_file).ask(request, LIMITS)
    assert server.requests == []


def test_a_certificate_for_another_host_is_refused(
    connect: Connect, tls: tuple[HttpServer, Authority]
) -> None:
    server, authority = tls
    url = f"https://localhost:{server.port}"
    with pytest.raises(Unavailable, match=r"(?i)certificate verify failed"):
        connect(url, ca_file=authority.ca_file).ask(POST, LIMITS)
    assert server.requests == []


def test_https_to_a_port_that_speaks_http_sends_nothing(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen: list[bytes] = []

        def answer() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(Unavailable, match=r"(?i)wrong.version.number"):
            connect(f"https://127.0.0.1:{listener.getsockname()[1]}").ask(POST, LIMITS)
    assert len(seen) == 3
    assert not any(b"POST" in each or b"secret" in each for each in seen)


def test_plain_text_after_the_handshake_loses_the_answer_and_nothing_is_sent_twice(
    connect: Connect, tls: tuple[HttpServer, Authority]
) -> None:
    def forget_tls(connection: socket.socket) -> bool:
        os.write(connection.fileno(), b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        return False

    server, authority = tls
    server.reactions = [forget_tls] * 3
    with pytest.raises(AnswerLost, match=r"(?i)wrong.version.number"):
        connect(server.url, ca_file=authority.ca_file).ask(POST, LIMITS)
    assert len(server.requests) == 1


def test_http_to_a_port_that_speaks_tls_is_no_answer(
    connect: Connect, tls: tuple[HttpServer, Authority]
) -> None:
    server, _ = tls
    with pytest.raises(Unavailable):
        connect(server.url.replace("https", "http")).ask(GET, LIMITS)
    assert server.requests == []


def test_proxies_and_logins_of_this_machine_are_not_for_this_server(
    connect: Connect, server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = HttpServer()
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, proxy.url)
    (tmp_path / ".netrc").write_text("default login somebody password netrc-password\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert connect().ask(GET, LIMITS) == HttpReply(200, b"ok")
    proxy.stop()
    assert proxy.requests == []
    assert "authorization" not in server.requests[0].headers


def test_what_an_answer_wants_to_be_remembered_does_not_go_out_with_the_next_request(
    connect: Connect, server: HttpServer
) -> None:
    server.reactions = [
        say(b"HTTP/1.1 200 X\r\nSet-Cookie: session=kirby; Path=/\r\nContent-Length: 0\r\n\r\n")
    ]
    transport = connect()
    assert [transport.ask(GET, LIMITS).status for _ in range(2)] == [200, 200]
    assert "cookie" not in server.requests[1].headers


def test_headers_and_bodies_are_not_shown() -> None:
    assert "secret" not in repr(GET)
    assert "{" not in repr(POST)
