"""Commands over SSH: what goes in and comes out of a kept remote shell, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import shell
from pipeline.errors import Unavailable
from pipeline.transport import Completed, Limits
from pipeline.transport.ssh import SshTransport
from tests.harness.ssh_server import SshServer
from tests.harness.text import HOSTILE_TEXT
from tests.unit.conftest import LOGIN, Connect

LIMITS = Limits(seconds=20)


@pytest.fixture
def transport(connect: Connect) -> SshTransport:
    return connect()


def run(transport: SshTransport, line: str, stdin: bytes = b"") -> Completed:
    return transport.run(LOGIN, line, LIMITS, stdin)


def test_a_command_has_two_outputs_and_an_exit_code(transport: SshTransport) -> None:
    assert run(transport, "echo out; echo err >&2; exit 7") == Completed(7, b"out\n", b"err\n")


@pytest.mark.parametrize("code", [0, 1, 2, 76, 126, 127, 255])
def test_exit_codes_are_told_with_and_without_input(transport: SshTransport, code: int) -> None:
    for stdin in (b"", b"some input\n"):
        assert run(transport, f"(exit {code})", stdin).exit_code == code
        assert run(transport, f"exit {code}", stdin).exit_code == code


def test_a_command_that_is_killed_has_bashs_exit_code(transport: SshTransport) -> None:
    assert run(transport, "bash -c 'kill -9 $$'").exit_code == 137


@pytest.mark.parametrize(
    "out", [b"", b"\n", b"no end", b"\n\n\n", b"a\nb", b"\0\xff\x00", b"0" * 32 + b" 0\n"]
)
def test_output_comes_as_it_is(transport: SshTransport, out: bytes) -> None:
    for line in ("cat", "cat >&2"):
        reply = run(transport, line, out) if out else run(transport, "true")
        assert reply.stdout + reply.stderr == out


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_TEXT, st.binary(max_size=3000))
def test_any_word_and_any_input_comes_back(transport: SshTransport, word: str, data: bytes) -> None:
    line = f"printf %s {shell.quote(word)} >&2; cat"
    assert run(transport, line, data) == Completed(0, data, word.encode("utf-8"))


def test_much_on_both_outputs_at_once_does_not_block(transport: SshTransport) -> None:
    line = "head -c 3000000 /dev/zero | tr '\\0' o & head -c 3000000 /dev/zero | tr '\\0' e >&2; wait"
    reply = run(transport, line)
    assert (reply.stdout, reply.stderr) == (b"o" * 3_000_000, b"e" * 3_000_000)


def test_a_large_input_arrives(transport: SshTransport) -> None:
    data = bytes(range(256)) * 16 * 1024
    assert run(transport, "wc -c", data).stdout.strip() == b"4194304"


@pytest.mark.parametrize("line", ["true", "exit 3", 'read -r first; echo "$first"', "head -c 1 >/dev/null"])
def test_input_that_is_not_read_does_not_become_the_next_command(
    transport: SshTransport, server: SshServer, line: str
) -> None:
    run(transport, line, b"first\ntouch canary\n" + b"touch canary\n" * 50_000)
    assert run(transport, "echo next") == Completed(0, b"next\n")
    assert not (server.home("kirby") / "canary").exists()


def test_without_input_a_command_finds_none(transport: SshTransport) -> None:
    assert run(transport, "cat; echo done") == Completed(0, b"done\n")


def test_one_command_leaves_nothing_for_the_next(transport: SshTransport) -> None:
    run(transport, "cd /; x=1; export y=2; set -e; trap 'echo trap' EXIT; false")
    run(transport, "cd /; x=1; set -u", b"input")
    assert run(transport, 'echo "$PWD|${x:-}|${y:-}|$-"').stdout.decode().count("/") > 1
    assert run(transport, 'echo "${x:-}|${y:-}"') == Completed(0, b"|\n")


def test_a_process_that_is_left_behind_does_not_hold_the_answer(transport: SshTransport) -> None:
    assert run(transport, "sleep 30 & echo $!").exit_code == 0


def test_a_comment_or_a_line_break_at_the_end_is_no_matter(transport: SshTransport) -> None:
    assert run(transport, "echo a # comment") == Completed(0, b"a\n")
    assert run(transport, "echo a # comment", b"x") == Completed(0, b"a\n")


def test_start_files_that_print_and_export_do_not_get_into_answers(
    connect: Connect, server: SshServer
) -> None:
    server.start_files = "echo Welcome!; printf 'no end' >&2; export LEAK=1 PATH=/opt/site:$PATH; alias ls=x"
    transport = connect(environment="PATH='/opt/slurm dir':\"$PATH\" SLURM_CONF=/etc/x")
    reply = run(transport, 'echo "$HOME $USER ${LEAK:-none} $LANG $SLURM_CONF"; echo "$PATH"')
    first, path = reply.text().splitlines()
    assert first == f"{server.home('kirby')} kirby none C.UTF-8 /etc/x"
    assert path.startswith("/opt/slurm dir:/opt/site:")
    assert reply.stderr == b""


def test_start_files_that_end_the_shell_are_told_in_their_words(connect: Connect, server: SshServer) -> None:
    server.start_files = "echo 'This account is currently not available.' >&2; exit 1"
    with pytest.raises(Unavailable, match=r"kirby@127\.0\.0\.1: .*not available"):
        run(connect(), "true")


def test_a_command_that_takes_too_long_is_given_up_and_the_next_one_works(transport: SshTransport) -> None:
    run(transport, "true")  # so that logging in takes none of the time below
    with pytest.raises(Unavailable, match=r"kirby@127\.0\.0\.1: no answer within 0\.3 s") as fault:
        transport.run(LOGIN, "sleep 30", Limits(seconds=0.3))
    assert fault.value.worth_trying_again
    assert run(transport, "echo next") == Completed(0, b"next\n")


@pytest.mark.parametrize("line", ["head -c 100000 /dev/zero", "head -c 100000 /dev/zero >&2", "yes"])
def test_an_answer_that_is_too_large_is_given_up_and_the_next_one_works(
    transport: SshTransport, line: str
) -> None:
    with pytest.raises(Unavailable, match="the answer has more than 5000 bytes"):
        transport.run(LOGIN, line, Limits(20, 5000))
    assert run(transport, "echo next") == Completed(0, b"next\n")
