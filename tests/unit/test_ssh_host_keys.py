"""Host keys: remembered when first seen, refused when they change."""

from __future__ import annotations

import hmac
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from pipeline.errors import Unavailable
from pipeline.transport import Limits
from pipeline.transport.ssh import SshTransport
from pipeline.transport.ssh.keys import private_key
from tests.harness.keys import private_key_text
from tests.harness.ssh_server import SshServer, new_host_key
from tests.unit.conftest import LOGIN, Connect

LIMITS = Limits(seconds=20)


def ask(transport: SshTransport) -> bytes:
    return transport.run(LOGIN, "echo in", LIMITS).stdout


def line_of(server: SshServer, key: paramiko.PKey) -> str:
    return f"[127.0.0.1]:{server.port} {key.get_name()} {key.get_base64()}\n"


def test_a_key_that_is_seen_for_the_first_time_is_remembered(
    connect: Connect, server: SshServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "state" / "known_hosts"
    assert ask(connect(known_hosts=file)) == b"in\n"
    assert file.read_text() == line_of(server, server.host_key)
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert "seen for the first time" in caplog.text
    assert server.host_key.fingerprint in caplog.text


def test_a_key_that_is_remembered_is_taken_after_a_restart(connect: Connect, tmp_path: Path) -> None:
    for _ in range(2):
        assert ask(connect()) == b"in\n"
    assert len((tmp_path / "known_hosts").read_text().splitlines()) == 1


def test_a_key_that_changed_is_refused_with_what_to_do(
    connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    assert ask(connect()) == b"in\n"
    remembered = (tmp_path / "known_hosts").read_text()
    server.host_key = new_host_key()
    with pytest.raises(Unavailable, match="has changed") as fault:
        ask(connect())
    assert server.host_key.fingerprint in fault.value.message
    assert str(tmp_path / "known_hosts") in fault.value.message
    assert (tmp_path / "known_hosts").read_text() == remembered


def test_a_key_that_changes_while_the_service_runs_is_refused(connect: Connect, server: SshServer) -> None:
    transport = connect()
    assert ask(transport) == b"in\n"
    server.host_key = new_host_key()
    server.drop_all()
    with pytest.raises(Unavailable, match="has changed"):
        ask(transport)


def test_a_key_in_the_sites_file_is_taken_and_not_remembered(
    connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    site = tmp_path / "site_known_hosts"
    site.write_text("# ours\n" + line_of(server, server.host_key))
    assert ask(connect(site_known_hosts=site)) == b"in\n"
    assert not (tmp_path / "known_hosts").exists()


def test_another_key_than_in_the_sites_file_is_refused(
    connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    site = tmp_path / "site_known_hosts"
    site.write_text(line_of(server, new_host_key()))
    with pytest.raises(Unavailable, match="has changed"):
        ask(connect(site_known_hosts=site))


def test_a_sites_file_that_cannot_be_read_is_told_with_its_path(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"host keys in .*none cannot be read: .*No such file"):
        ask(connect(site_known_hosts=tmp_path / "none"))


def test_strict_takes_no_key_that_nobody_knows_and_says_what_to_do(
    connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    site = tmp_path / "site_known_hosts"
    site.write_text("other.example.com ssh-ed25519 " + new_host_key().get_base64() + "\n")
    with pytest.raises(Unavailable, match="is not known") as fault:
        ask(connect(strict=True, site_known_hosts=site))
    for told in (
        f"127.0.0.1 port {server.port}",
        server.host_key.fingerprint,
        f"`ssh-keyscan -p {server.port} 127.0.0.1`",
        str(site),
    ):
        assert told in fault.value.message
    assert not (tmp_path / "known_hosts").exists()


@pytest.mark.parametrize("file", ["site_known_hosts", "known_hosts"])
def test_strict_takes_a_key_of_either_file(
    file: str, connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(line_of(server, server.host_key))
    words = {"site_known_hosts": tmp_path / file} if file == "site_known_hosts" else {}
    assert ask(connect(strict=True, **words)) == b"in\n"


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("hosts", ["*", "127.0.0.1", "[127.0.0.1]:{port}"])
def test_a_revoked_key_is_refused_wherever_else_it_stands(
    hosts: str, strict: bool, connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    key = server.host_key
    site = tmp_path / "site_known_hosts"
    revoked = f"@revoked {hosts.format(port=server.port)} {key.get_name()} {key.get_base64()} stolen\n"
    site.write_text(line_of(server, key) + revoked)
    (tmp_path / "known_hosts").write_text(line_of(server, key))
    with pytest.raises(Unavailable, match="is revoked in") as fault:
        ask(connect(strict=strict, site_known_hosts=site))
    assert key.fingerprint in fault.value.message


def test_another_key_than_the_revoked_one_is_taken(
    connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    site = tmp_path / "site_known_hosts"
    site.write_text(f"@revoked * ssh-ed25519 {new_host_key().get_base64()}\n")
    assert ask(connect(site_known_hosts=site)) == b"in\n"


def test_a_host_of_which_only_the_authority_is_known_is_refused(
    connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    """Host certificates are not read; taking the plain key would be less than the site has asked for."""
    site = tmp_path / "site_known_hosts"
    site.write_text(f"@cert-authority [127.0.0.*]:* ssh-ed25519 {new_host_key().get_base64()}\n")
    with pytest.raises(Unavailable, match=r"cannot be checked: .* only @cert-authority"):
        ask(connect(site_known_hosts=site))
    site.write_text(site.read_text() + line_of(server, server.host_key))
    assert ask(connect(site_known_hosts=site)) == b"in\n"


def hashed(name: str) -> str:
    salt = bytes(range(20))
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{b64encode(salt).decode()}|{b64encode(digest).decode()}"


@pytest.mark.parametrize(
    "hosts",
    ["[127.0.0.1]:{port}", "a.example.com,[127.0.0.1]:{port}", "[127.0.0.?]:*", "*,!other", "hashed"],
)
def test_a_host_is_found_as_openssh_finds_it(
    hosts: str, connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    name = f"[127.0.0.1]:{server.port}"
    hosts = hashed(name) if hosts == "hashed" else hosts.format(port=server.port)
    site = tmp_path / "site_known_hosts"
    site.write_text(f"{hosts}  ssh-ed25519\t{server.host_key.get_base64()} comment\n")
    assert ask(connect(strict=True, site_known_hosts=site)) == b"in\n"


def test_a_comment_may_hold_any_bytes(connect: Connect, server: SshServer, tmp_path: Path) -> None:
    line = line_of(server, server.host_key).rstrip("\n").encode()
    site = tmp_path / "site_known_hosts"
    site.write_bytes(b"# caf\xe9 \xe2\x80\xa8 x\n" + line + b" caf\xe9\x85 \xe2\x80\xa8 x\x0c y\r\n")
    assert ask(connect(strict=True, site_known_hosts=site)) == b"in\n"


@pytest.mark.parametrize("hosts", ["127.0.0.1", "[127.0.0.1]:1", "*,![127.0.0.1]:*", "|1|AAAA|AAAA"])
def test_a_line_of_another_host_does_not_count(
    hosts: str, connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    site = tmp_path / "site_known_hosts"
    site.write_text(f"{hosts} ssh-ed25519 {server.host_key.get_base64()}\n")
    with pytest.raises(Unavailable, match="is not known"):
        ask(connect(strict=True, site_known_hosts=site))


def test_a_host_may_have_several_keys(connect: Connect, server: SshServer, tmp_path: Path) -> None:
    """As while its key is being changed, and for each type that it has."""
    site = tmp_path / "site_known_hosts"
    ecdsa = private_key(private_key_text("ecdsa"), of="the host")
    site.write_text("".join(line_of(server, key) for key in (ecdsa, new_host_key(), server.host_key)))
    assert ask(connect(strict=True, site_known_hosts=site)) == b"in\n"


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_the_type_of_key_that_is_known_is_asked_for(
    kind: str, connect: Connect, server: SshServer, tmp_path: Path
) -> None:
    """A host has a key of each type, and answers with the one that the client prefers."""
    other = private_key(private_key_text(kind), of="the host")
    server.more_host_keys.append(other)
    (tmp_path / "known_hosts").write_text(line_of(server, other))
    assert ask(connect(strict=True)) == b"in\n"


def test_a_key_is_remembered_once_by_many_at_once(
    connect: Connect, server: SshServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transports = [connect() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, transports)) == {b"in\n"}
    assert (tmp_path / "known_hosts").read_text() == line_of(server, server.host_key)
    assert caplog.text.count("seen for the first time") == 1


def test_what_stands_in_the_file_stays_as_it_is(connect: Connect, server: SshServer, tmp_path: Path) -> None:
    file, real = tmp_path / "known_hosts", tmp_path / "elsewhere"
    before = "# ours\nother ssh-ed25519 " + new_host_key().get_base64()
    real.write_text(before)  # without an end of line
    real.chmod(0o644)
    file.symlink_to(real)
    (tmp_path / "elsewhere.new").write_text("what a write has left that was killed")
    assert ask(connect()) == b"in\n"
    assert file.is_symlink()
    assert real.read_text() == before + "\n" + line_of(server, server.host_key)
    assert real.stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "elsewhere.new").exists()


def test_a_key_that_cannot_be_remembered_is_not_taken(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"cannot be remembered in .*/file/known_hosts"):
        ask(connect(known_hosts=tmp_path / "file" / "known_hosts"))


@pytest.mark.parametrize(
    "line",
    [
        "[127.0.0.1]:22",
        "h ssh-ed25519 AAAA",
        "h ssh-ed25519 !",
        "@revoked h",
        "@other h ssh-ed25519 AAAA",
        "@revoked",
    ],
)
def test_a_line_that_cannot_be_read_may_have_revoked_the_key(
    line: str, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "known_hosts").write_text(f"# one\n\n{line}\n")
    with pytest.raises(Unavailable, match=r"host keys in .*known_hosts cannot be read: line 3 is not"):
        ask(connect())
