"""Channels of an SSH connection to ports that only the far side reaches, and HTTP through them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import pytest

from pipeline.errors import Unavailable
from pipeline.transport import HttpReply, Limits
from pipeline.transport.http import AnswerLost, HttpRequest, HttpTransport, client
from pipeline.transport.ssh import Host, Login, Tunnel
from pipeline.transport.ssh import tunnel as tunnels
from tests.harness.certificates import Authority
from tests.harness.http_server import HttpServer, hang_up, reply, say_goodbye
from tests.harness.service import free_port
from tests.harness.ssh_server import Firewall, SshServer
from tests.harness.waiting import eventually, within
from tests.unit.conftest import LOGIN

LIMITS = Limits(seconds=10)
GET = HttpRequest("GET", "/path", {}, repeatable=True)
POST = HttpRequest("POST", "/path", {}, b"x" * 100_000)
OK = HttpReply(200, b"ok")

Through = Callable[..., HttpTransport]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are short here."""
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.02))


@pytest.fixture
def tunnel(server: SshServer, tmp_path: Path) -> Iterator[Tunnel]:
    tunnel = Tunnel(
        Host("127.0.0.1", server.port, known_hosts=tmp_path / "known_hosts", connect_timeout=5), LOGIN
    )
    yield tunnel
    tunnel.close()


@pytest.fixture
def through(tunnel: Tunnel) -> Iterator[Through]:
    """Makes transports through the tunnel."""
    transports: list[HttpTransport] = []

    def make(url: str, **words: Any) -> HttpTransport:
        words = {"connections": 8, "connect_timeout": 5.0, "through": tunnel.open, **words}
        transports.append(HttpTransport(url, **words))
        return transports[-1]

    yield make
    for transport in transports:
        transport.close()


@pytest.fixture(params=["http", "https"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HttpServer, dict[str, Any]]]:
    """A server behind the tunnel, and what its client has to be told."""
    if request.param == "http":
        server, words = HttpServer(), {}
    else:
        authority = Authority(tmp_path / "authority")
        server, words = HttpServer(authority.server()), {"ca_file": authority.ca_file}
    yield server, words
    server.stop()


def test_requests_go_through_one_connection_and_kept_channels(
    through: Through, server: SshServer, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    behind, words = far
    large = b"y" * 1_000_000
    behind.reactions = [reply(large), reply(b"", 404)]
    transport = through(behind.url, **words)
    assert [transport.ask(each, LIMITS) for each in (POST, GET, POST, GET)] == [
        HttpReply(200, large), HttpReply(404, b""), OK, OK,
    ]  # fmt: skip
    assert [len(request.body) for request in behind.requests] == [100_000, 0, 100_000, 0]
    assert server.forwarded == [("127.0.0.1", behind.port)]
    assert (len(server.live()), behind.connections) == (1, 1)


def test_many_at_once(through: Through, server: SshServer, far: tuple[HttpServer, dict[str, Any]]) -> None:
    behind, words = far
    transport = through(behind.url, **words)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda _: transport.ask(POST, LIMITS), range(64))) == [OK] * 64
    assert len(server.live()) == 1
    assert behind.connections <= 8
    assert len(behind.requests) == 64


def test_a_connection_that_drops_is_made_again(
    through: Through, server: SshServer, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    behind, words = far
    transport = through(behind.url, **words)
    for asked in range(1, 4):
        assert transport.ask(POST, LIMITS) == OK
        assert len(behind.requests) == asked
        server.drop_all()
        eventually(lambda: not server.live(), seconds=5, pause=0.01)
        eventually(lambda: not _any_kept(transport), seconds=5, pause=0.01)
    assert server.logins == ["kirby"] * 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_connection_whose_thread_has_stumbled_is_made_again(
    tunnel: Tunnel, through: Through, server: SshServer, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    """It would be taken for a live one for ever: every request fails until the service is started anew."""
    behind, words = far
    transport = through(behind.url, **words)
    assert transport.ask(GET, LIMITS) == OK
    assert tunnel._connection
    connection = tunnel._connection._client.get_transport()
    assert connection
    begun = paramiko.Channel(99)  # a moment before paramiko gives it its transport
    connection._channels.put(99, begun)  # type: ignore[attr-defined]  # paramiko's own
    server.drop_all()
    eventually(lambda: not connection.is_alive(), seconds=5, pause=0.01)
    assert connection.is_active(), "paramiko has mended it: Connection.alive need not look at the thread"
    assert transport.ask(GET, LIMITS) == OK


def _any_kept(transport: HttpTransport) -> bool:
    """Whether the client still takes one of its kept connections for open."""
    adapter = transport._session.get_adapter(transport._url)
    pool = adapter.poolmanager.connection_from_url(transport._url)  # type: ignore[attr-defined]  # HTTPAdapter's own
    return any(connection and connection.is_connected for connection in pool.pool.queue)


def test_a_connection_that_drops_under_a_request_loses_its_answer_and_nothing_is_sent_twice(
    through: Through, server: SshServer, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    behind, words = far
    behind.reactions = [behind.stall] * 2
    transport = through(behind.url, **words)
    with ThreadPoolExecutor(2) as pool:
        lost = pool.submit(transport.ask, POST, LIMITS)
        eventually(lambda: len(behind.requests) == 1, seconds=5, pause=0.01)
        server.drop_all()
        with pytest.raises(AnswerLost):
            lost.result(5)
        again = pool.submit(transport.ask, GET, LIMITS)
        eventually(lambda: len(behind.requests) == 2, seconds=5, pause=0.01)
        server.drop_all()
        assert again.result(5) == OK
    assert len(behind.requests) == 3


def test_an_answer_that_does_not_come_is_given_up_in_time(
    through: Through, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    behind, words = far
    behind.reactions = [reply(), behind.stall, behind.drip]
    transport = through(behind.url, **words)
    assert transport.ask(GET, LIMITS) == OK  # so that logging in takes none of the time below
    for _ in range(2):
        with pytest.raises(AnswerLost, match=r"no answer within 0\.3 s"):
            transport.ask(POST, Limits(seconds=0.3))


def test_an_answer_that_is_cut_off_is_lost(through: Through, far: tuple[HttpServer, dict[str, Any]]) -> None:
    behind, words = far
    behind.reactions = [hang_up, reply(b"half", length=8, keep=False)]
    transport = through(behind.url, **words)
    for _ in range(2):
        with pytest.raises(AnswerLost):
            transport.ask(POST, LIMITS)
    assert transport.ask(POST, LIMITS) == OK


def test_an_answer_that_ends_with_the_connection_is_read_to_its_end(
    through: Through, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    behind, words = far
    behind.reactions = [say_goodbye(b"z" * 300_000)] * 2
    transport = through(behind.url, **words)
    assert [transport.ask(POST, LIMITS) for _ in range(3)] == [HttpReply(200, b"z" * 300_000)] * 2 + [OK]


def test_a_kept_channel_whose_server_has_gone_is_not_used(
    through: Through, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    behind, words = far
    transport = through(behind.url, **words)
    for _ in range(3):
        behind.reactions = [reply(keep=False)]
        assert transport.ask(POST, LIMITS) == OK
        assert behind.closed.acquire(timeout=5)
        eventually(lambda: not _any_kept(transport), seconds=5, pause=0.01)
    assert len(behind.requests) == 3


def test_a_server_that_nobody_vouches_for_is_sent_nothing(through: Through, tmp_path: Path) -> None:
    behind = HttpServer(Authority(tmp_path / "one").server())
    transport = through(behind.url, ca_file=Authority(tmp_path / "another").ca_file)
    with pytest.raises(Unavailable, match=r"(?i)certificate verify failed"):
        transport.ask(POST, LIMITS)
    behind.stop()
    assert behind.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_that_nobody_listens_on_is_told_with_host_and_port(through: Through, scheme: str) -> None:
    port = free_port()
    with pytest.raises(Unavailable) as fault:
        through(f"{scheme}://127.0.0.1:{port}").ask(POST, LIMITS)
    assert f"kirby@127.0.0.1 cannot connect to 127.0.0.1 port {port}: " in fault.value.message
    assert "object at 0x" not in fault.value.message


def test_a_far_side_that_cannot_be_reached_is_told(through: Through, tmp_path: Path) -> None:
    port = free_port()
    tunnel = Tunnel(Host("127.0.0.1", port, known_hosts=tmp_path / "known_hosts"), LOGIN)
    with pytest.raises(Unavailable, match=f"ssh: kirby@127.0.0.1 port {port}: .*refused"):
        through("http://mg1:6820", through=tunnel.open).ask(POST, LIMITS)


def test_a_login_that_is_refused_is_told(server: SshServer, tmp_path: Path) -> None:
    host = Host("127.0.0.1", server.port, known_hosts=tmp_path / "known_hosts")
    with pytest.raises(Unavailable, match="the login was refused"):
        Tunnel(host, Login("bowser", LOGIN.private_key)).open("mg1", 6820, 5)


def test_of_many_that_ask_at_first_one_connects(tunnel: Tunnel, server: SshServer) -> None:
    together = threading.Barrier(8)

    def ask(_: int) -> None:
        together.wait(10)
        tunnel.open("127.0.0.1", listener.getsockname()[1], 5).close()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert server.logins == ["kirby"]


@pytest.fixture
def firewall(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Firewall]:
    monkeypatch.setattr(tunnels, "_FAIR", 0.2)
    firewall = Firewall(server.port)
    yield firewall
    firewall.stop()


@pytest.fixture
def guarded(firewall: Firewall, tmp_path: Path) -> Iterator[Tunnel]:
    """A tunnel through the firewall."""
    tunnel = Tunnel(
        Host("127.0.0.1", firewall.port, known_hosts=tmp_path / "known_hosts", connect_timeout=5), LOGIN
    )
    yield tunnel
    tunnel.close()


def test_a_connection_that_no_longer_answers_is_given_up_and_made_again(
    guarded: Tunnel, firewall: Firewall, server: SshServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        kept = guarded.open("127.0.0.1", port, 5)
        firewall.forget()
        with pytest.raises(Unavailable, match=f"cannot connect to 127.0.0.1 port {port}: Timeout"):
            guarded.open("127.0.0.1", port, 0.3)
        assert kept.closed
        guarded.open("127.0.0.1", port, 5).close()
    assert server.logins == ["kirby"] * 2


def test_a_request_with_little_time_left_does_not_cut_off_the_others(
    guarded: Tunnel, firewall: Firewall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels, "_FAIR", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        kept = guarded.open("127.0.0.1", port, 5)
        firewall.forget()
        with pytest.raises(Unavailable, match="Timeout"):
            guarded.open("127.0.0.1", port, 0.01)
        assert not kept.closed


def test_after_a_firewall_has_forgotten_the_connection_one_request_is_lost(
    through: Through,
    guarded: Tunnel,
    firewall: Firewall,
    server: SshServer,
    far: tuple[HttpServer, dict[str, Any]],
) -> None:
    behind, words = far
    transport = through(behind.url, through=guarded.open, **words)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: transport.ask(POST, LIMITS), range(2))) == [OK] * 2
    transport = through(behind.url, through=guarded.open, connect_timeout=0.5, **words)
    assert transport.ask(POST, LIMITS) == OK
    firewall.forget()
    with pytest.raises(AnswerLost, match=r"no answer within 0\.3 s"):
        transport.ask(POST, Limits(seconds=0.3))
    assert transport.ask(POST, LIMITS) == OK
    assert len(server.logins) == 2


def test_what_nobody_acknowledges_is_not_waited_for_longer_than_for_a_connection(tunnel: Tunnel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        channel = tunnel.open("127.0.0.1", listener.getsockname()[1], 5)
    raw = channel.get_transport().sock
    assert isinstance(raw, socket.socket)
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000


@pytest.fixture
def silent() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that takes connections and says nothing, and the connections that it has."""
    taken: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1], taken
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for each in taken:
        each.close()


def test_who_waits_for_a_connection_shares_its_failure(
    silent: tuple[int, list[socket.socket]], tmp_path: Path
) -> None:
    port, taken = silent
    tunnel = Tunnel(Host("127.0.0.1", port, known_hosts=tmp_path / "known_hosts", connect_timeout=5), LOGIN)
    with within(4), ThreadPoolExecutor(4) as pool:
        first = pool.submit(tunnel.open, "mg1", 6820, 2)
        eventually(lambda: taken, seconds=5, pause=0.01)
        others = [pool.submit(tunnel.open, "mg1", 6820, 5) for _ in range(3)]
        for each in (first, *others):
            with pytest.raises(Unavailable, match=f"ssh: kirby@127.0.0.1 port {port}: "):
                each.result(10)
    assert len(taken) == 1


def test_who_waits_for_a_connection_waits_no_longer_than_it_has_time(
    silent: tuple[int, list[socket.socket]], tmp_path: Path
) -> None:
    port, taken = silent
    tunnel = Tunnel(Host("127.0.0.1", port, known_hosts=tmp_path / "known_hosts", connect_timeout=10), LOGIN)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(tunnel.open, "mg1", 6820, 10)
        eventually(lambda: taken, seconds=5, pause=0.01)
        told = r"ssh: kirby@127\.0\.0\.1: no connection within 0\.1 s"
        with within(2), pytest.raises(Unavailable, match=told):
            tunnel.open("mg1", 6820, 0.1)
        taken[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(Unavailable):
            first.result(10)


def test_connecting_takes_no_longer_than_the_request_has_time(
    through: Through, silent: tuple[int, list[socket.socket]], tmp_path: Path
) -> None:
    host = Host("127.0.0.1", silent[0], known_hosts=tmp_path / "known_hosts", connect_timeout=10)
    with within(2), pytest.raises(Unavailable):
        through("http://mg1:6820", through=Tunnel(host, LOGIN).open).ask(POST, Limits(seconds=0.3))


@pytest.mark.parametrize("sips", [0, 1000])
def test_the_time_holds_for_a_request_that_is_not_taken(
    through: Through, far: tuple[HttpServer, dict[str, Any]], sips: int
) -> None:
    behind, words = far
    # The tunnel logs in, which takes none of the time below; the next transport has a channel of its own.
    assert through(behind.url, **words).ask(GET, LIMITS) == OK
    behind.sips = sips
    transport = through(behind.url, **words)
    with within(3):
        for _ in range(2):
            with pytest.raises(AnswerLost, match=r"no answer within 0\.3 s"):
                transport.ask(HttpRequest("POST", "/", {}, bytes(16 * 1024 * 1024)), Limits(seconds=0.3))
    eventually(lambda: not _threads_of_tls(), seconds=5, pause=0.01)


def test_a_key_exchange_that_takes_too_long_loses_the_answer(
    through: Through, far: tuple[HttpServer, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exchanging(*_: object) -> int:
        raise paramiko.SSHException("Key-exchange timed out waiting for key negotiation")

    behind, words = far
    transport = through(behind.url, **words)
    assert transport.ask(GET, LIMITS) == OK
    with monkeypatch.context() as patch:
        for name in ("send", "sendall"):
            patch.setattr(paramiko.Channel, name, exchanging)
        with pytest.raises(AnswerLost):
            transport.ask(POST, LIMITS)
    assert transport.ask(POST, LIMITS) == OK


def _threads_of_tls() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tls-through-ssh"]


def test_closing_closes_the_connection_and_its_threads(
    through: Through, tunnel: Tunnel, server: SshServer, far: tuple[HttpServer, dict[str, Any]]
) -> None:
    behind, words = far
    through(behind.url, **words).ask(GET, LIMITS)
    tunnel.close()
    eventually(lambda: not server.live(), seconds=5, pause=0.01)
    eventually(lambda: not _threads_of_tls(), seconds=5, pause=0.01)
