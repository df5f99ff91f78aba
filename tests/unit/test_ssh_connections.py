"""SSH connections: kept, bounded, made anew when they drop."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from pipeline.errors import Unavailable
from pipeline.transport import Limits
from pipeline.transport.ssh import Host, Login, SshTransport
from tests.harness.keys import private_key_text
from tests.harness.service import free_port
from tests.harness.ssh_server import SshServer
from tests.harness.waiting import eventually
from tests.unit.conftest import KEY, LOGIN, Connect

LIMITS = Limits(seconds=20)


def whoami(transport: SshTransport, user: str = "kirby") -> str:
    return transport.run(Login(user, KEY), "echo $USER", LIMITS).text().strip()


def live_after(server: SshServer, count: int) -> None:
    eventually(lambda: len(server.live()) == count, seconds=5, what=f"{count} connections", pause=0.01)


def test_a_connection_is_kept_for_the_next_command(connect: Connect, server: SshServer) -> None:
    transport = connect()
    assert {whoami(transport) for _ in range(20)} == {"kirby"}
    assert len(server.live()) == 1
    assert server.most_channels == 1


def test_each_user_has_a_connection_of_its_own(connect: Connect, server: SshServer) -> None:
    transport = connect()
    assert [whoami(transport, user) for user in ("u1", "u2", "u1", "u2")] == ["u1", "u2", "u1", "u2"]
    assert len(server.live()) == 2


def test_many_at_once_share_a_bounded_number_of_channels(connect: Connect, server: SshServer) -> None:
    transport = connect(channels=3)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: transport.run(LOGIN, f"echo {n}", LIMITS).text(), range(64)))
    assert answers == [f"{number}\n" for number in range(64)]
    assert server.most_channels <= 3
    assert len(server.live()) == 1


def test_when_all_channels_stay_busy_that_is_told(connect: Connect, server: SshServer) -> None:
    transport = connect(channels=1)
    go_on = server.home("kirby") / "go-on"
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(
            transport.run,
            LOGIN,
            "until [ -e go-on ] || ((waited++ > 400)); do sleep 0.05; done; echo busy",
            LIMITS,
        )
        eventually(lambda: server.open_channels, seconds=5, pause=0.01)
        with pytest.raises(Unavailable, match=r"all 1 SSH channels to .* stayed busy for 0\.\d+ s"):
            transport.run(LOGIN, "true", Limits(seconds=0.2))
        go_on.touch()
        assert busy.result(10).stdout == b"busy\n"


def test_a_connection_that_was_dropped_is_made_anew(connect: Connect, server: SshServer) -> None:
    transport = connect()
    for _ in range(3):
        assert whoami(transport) == "kirby"
        server.drop_all()


def test_a_command_whose_connection_drops_is_run_again_once(connect: Connect, server: SshServer) -> None:
    transport = connect()
    home = server.home("kirby")
    line = "echo x >>runs; [ $(wc -l <runs) -gt 1 ] || sleep 30; echo done"
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(transport.run, LOGIN, line, LIMITS)
        eventually((home / "runs").exists, seconds=5, pause=0.01)
        server.drop_all()
        assert reply.result(10).stdout == b"done\n"
    assert (home / "runs").read_text() == "x\nx\n"


def test_a_server_that_drops_every_time_is_told_after_the_second(connect: Connect, server: SshServer) -> None:
    server.start_files = "kill -9 $$"
    with pytest.raises(Unavailable, match=r"kirby@127\.0\.0\.1: the connection dropped") as fault:
        whoami(connect())
    assert fault.value.worth_trying_again


def test_a_server_that_is_gone_is_told_and_found_again(connect: Connect, server: SshServer) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=f"kirby@127.0.0.1 port {port}: .*refused"):
        whoami(connect(port=port))
    assert whoami(connect()) == "kirby"


@pytest.mark.parametrize("address", ["no-such-host.invalid", "no..host"])
def test_a_name_that_does_not_resolve_is_told(address: str) -> None:
    with pytest.raises(Unavailable, match=f"{re.escape(address)} port 22: "):
        SshTransport(Host(address)).run(LOGIN, "true", LIMITS)


def test_a_login_that_is_refused_is_told_with_what_to_look_at(connect: Connect) -> None:
    for login in (Login("kirby", private_key_text("ecdsa")), Login("bowser", KEY)):
        with pytest.raises(Unavailable, match=f"{login.user}@.*the login was refused.*authorized_keys"):
            connect().run(login, "true", LIMITS)


BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"


@contextmanager
def greeting(said: bytes, *, hangs_up: bool = False) -> Iterator[int]:
    """A port where one client is told this, and no more."""

    def greet(server: socket.socket) -> socket.socket:
        connection, _ = server.accept()
        connection.sendall(said)
        if hangs_up:
            connection.close()
        return connection

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        greeted = pool.submit(greet, server)
        yield server.getsockname()[1]
        greeted.result(10).close()


def test_algorithms_that_nobody_can_read_are_told(connect: Connect) -> None:
    """Well framed, and their names are no text: over that paramiko's own thread stumbles."""
    lists = b"".join(len(names).to_bytes(4, "big") + names for names in [b"\xff\xfe"] * 10)
    payload = b"\x14" + bytes(16) + lists + bytes(5)
    padding = 4 + -(len(payload) + 9) % 8
    packet = (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)
    told = r"ssh: kirby@127\.0\.0\.1 port \d+: .*utf-8"
    with greeting(BANNER + packet) as port, pytest.raises(Unavailable, match=told):
        whoami(connect(port=port))


@pytest.mark.parametrize("said", [b"", BANNER])
def test_a_server_that_hangs_up_is_told_with_a_reason(connect: Connect, said: bytes) -> None:
    told = r"ssh: kirby@127\.0\.0\.1 port \d+: \w"
    with greeting(said, hangs_up=True) as port, pytest.raises(Unavailable, match=told):
        whoami(connect(port=port))


@pytest.mark.parametrize("said", [b"", BANNER])
def test_a_port_that_does_not_go_on_is_given_up_in_time(connect: Connect, said: bytes) -> None:
    told = r"kirby@127\.0\.0\.1 port \d+: SSH did not begin in time"
    with greeting(said) as port, pytest.raises(Unavailable, match=told):
        whoami(connect(port=port, connect_timeout=0.3))


def test_connections_that_nobody_used_for_a_while_are_closed(connect: Connect, server: SshServer) -> None:
    transport = connect(idle_timeout=0.05)
    whoami(transport, "u1")
    eventually(lambda: whoami(transport, "u2") and len(server.live()) == 1, seconds=5, pause=0.1)


def test_there_are_never_more_connections_than_allowed(connect: Connect, server: SshServer) -> None:
    transport = connect(max_connections=3)
    for number in range(8):
        assert whoami(transport, f"u{number}") == f"u{number}"
    live_after(server, 3)
    with ThreadPoolExecutor(8) as pool:
        users = [f"u{number % 8}" for number in range(40)]
        assert list(pool.map(lambda user: whoami(transport, user), users)) == users
    live_after(server, 3)


def test_the_longest_idle_goes_first(connect: Connect, server: SshServer) -> None:
    transport = connect(max_connections=2)
    for user in ("u1", "u2", "u1", "u3", "u1"):
        whoami(transport, user)
    assert server.logins.count("u1") == 1


def test_of_many_that_ask_at_first_one_connects(connect: Connect, server: SshServer) -> None:
    transport = connect()
    together = threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait(10)
        return whoami(transport)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"kirby"}
    assert len(server.live()) == 1


def test_closing_closes_every_connection(connect: Connect, server: SshServer) -> None:
    transport = connect()
    whoami(transport, "u1")
    whoami(transport, "u2")
    transport.close()
    live_after(server, 0)
