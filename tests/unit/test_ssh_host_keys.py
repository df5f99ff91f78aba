"""Host keys: remembered when first seen, refused when they change."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from pipeline.errors import Unavailable
from pipeline.transport import Limits
from pipeline.transport.ssh import SshTransport
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
