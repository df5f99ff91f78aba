"""A host that takes no connections is left alone; nobody else is kept out over one user's login."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline import circuit
from pipeline.errors import Unavailable, Unreachable
from pipeline.transport import Limits
from pipeline.transport.ssh import Login, pool
from tests.harness.dead_server import Dead
from tests.harness.keys import private_key_text
from tests.harness.ssh_server import SshServer
from tests.harness.waiting import eventually, within
from tests.unit.conftest import KEY, LOGIN, Connect


@pytest.fixture
def dies(server: SshServer) -> Iterator[Callable[[], Dead]]:
    """Has the server end and something dead in its place."""
    dead: list[Dead] = []

    def die() -> Dead:
        server.stop()
        dead.append(Dead(server.port))
        return dead[-1]

    yield die
    for one in dead:
        one.stop()


def test_a_host_that_drops_connections_is_left_alone_after_three(
    connect: Connect, dies: Callable[[], Dead], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "_SHORTEST", 10)  # nobody is let through to see
    transport, dead = connect(), dies()
    for _ in range(3):
        with pytest.raises(Unreachable, match="ssh: kirby@127"):
            transport.run(LOGIN, "true", Limits(5))
    with within(4):  # nobody waits for a host that is away
        for user in ("kirby", "mario") * 20:
            with pytest.raises(Unreachable, match=r"ssh: 127\.0\.0\.1 port \d+ has not answered since "):
                transport.run(Login(user, KEY), "true", Limits(5))
    assert dead.connections == 3


def test_a_host_that_is_back_is_found_without_a_restart(
    connect: Connect, dies: Callable[[], Dead], server: SshServer
) -> None:
    transport, dead = connect(), dies()
    for _ in range(10):
        with pytest.raises(Unreachable):
            transport.run(LOGIN, "true", Limits(5))
    dead.stop()
    back = SshServer(server.folder, server.users, server.host_key, port=server.port)

    def answers() -> bool:
        try:
            return transport.run(LOGIN, "echo hello", Limits(5)).text() == "hello\n"
        except Unreachable:
            return False

    eventually(answers, seconds=5, pause=0.05)
    back.stop()


def test_refused_logins_keep_nobody_else_out(connect: Connect) -> None:
    transport = connect()
    stranger = Login("kirby", private_key_text("ecdsa"))
    for _ in range(5):
        with pytest.raises(Unavailable, match="the login was refused"):
            transport.run(stranger, "true", Limits(5))
    assert transport.run(LOGIN, "echo hello", Limits(5)).text() == "hello\n"


def test_who_could_not_even_connect_for_others_says_nothing_of_the_far_side(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was asked of slurmctld, nor of the host: the circuits of both have to leave it alone."""
    monkeypatch.setattr(pool, "_HANDSHAKES", 0)
    with pytest.raises(Unavailable, match="others were connecting") as fault:
        connect().run(LOGIN, "true", Limits(0.2))
    assert not isinstance(fault.value, Unreachable)


def test_commands_that_hang_keep_nobody_out(connect: Connect) -> None:
    """Whether a hanging command tells more of the host than of its user's files, its caller knows."""
    transport = connect()
    for _ in range(4):
        with pytest.raises(Unreachable, match=r"no answer within 1 s"):
            transport.run(LOGIN, "sleep 30", Limits(1))
    assert transport.run(LOGIN, "echo hello", Limits(5)).text() == "hello\n"


def test_who_is_connected_goes_on_while_others_cannot_connect(connect: Connect, server: SshServer) -> None:
    transport = connect()
    transport.run(LOGIN, "true", Limits(5))
    server.take_no_more()
    for _ in range(5):
        with pytest.raises(Unreachable):
            transport.run(Login("mario", KEY), "true", Limits(5))
    assert transport.run(LOGIN, "echo hello", Limits(5)).text() == "hello\n"
