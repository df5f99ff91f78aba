"""The file of the users id mapping: read again when it changes, and what a broken edit does."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from pipeline.connectors.slurm.choice import by_sbatch
from pipeline.connectors.slurm.cluster_host import ClusterHost, check_owners, login_of
from pipeline.errors import NotAllowed, SettingsFault
from pipeline.identity import MappingFile
from pipeline.redaction import redact
from pipeline.settings import Settings
from pipeline.slurm.commands import Ping
from pipeline.transport.ssh.keys import private_key
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.keys import b64, private_key_text
from tests.harness.secret_files import write_secret
from tests.harness.ssh_server import SshServer
from tests.unit.conftest import KEY


def text_for(*users: str, key: str | None = private_key_text()) -> str:
    with_key = {"ssh_private_key_b64": b64(key)} if key else {}
    entries = [{"mail": f"{user}@example.com", "mapped_user": user, **with_key} for user in users]
    return yaml.safe_dump({"users_id_mapping": entries})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_secret(tmp_path / "users.yaml", text_for("kirby"))


@pytest.fixture
def mapping(path: Path) -> MappingFile:
    return MappingFile(path, check=check_owners)


def test_an_added_user_is_there_at_once_and_a_removed_one_is_not(mapping: MappingFile, path: Path) -> None:
    path.write_text(text_for("mario"))
    assert mapping.owner_of("mario@example.com").user == "mario"
    assert list(mapping.users()) == ["mario"]
    with pytest.raises(NotAllowed):
        mapping.owner_of("kirby@example.com")
    with pytest.raises(NotAllowed):
        mapping.key_holder("kirby")


def test_a_new_key_is_used_at_once(mapping: MappingFile, path: Path) -> None:
    key = private_key_text("ecdsa")
    path.write_text(text_for("kirby", key=key))
    assert mapping.owner_of("kirby@example.com").private_key == key


def test_an_editor_that_puts_another_file_in_its_place_is_followed(mapping: MappingFile, path: Path) -> None:
    new = write_secret(path.with_name("new"), text_for("mario"))
    os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    new.replace(path)
    assert list(mapping.users()) == ["mario"]


def broken_key(path: Path) -> None:
    path.write_text(text_for("mario", key=private_key_text(passphrase="hunter2")))


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.write_text("users_id_mapping: ["), "is not YAML at line"),
    (lambda path: path.write_text(""), "is not fields with values"),
    (lambda path: path.write_text("users_id_mapping:\n- mail: a\n"), "entry 1: mapped_user is missing"),
    (broken_key, "users.yaml: the private key of mario has a passphrase"),
    (lambda path: path.unlink(), "cannot be read: No such file"),
    (lambda path: path.chmod(0o644), "others can read it, its mode is 0644: chmod 600 it"),
    (lambda path: path.write_text(text_for("mario", "root")), "mapped_user: nobody's jobs run as root"),
]


@pytest.mark.parametrize(("edit", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_broken_edit_leaves_the_last_good_one_and_is_told_once(
    edit: Callable[[Path], object],
    told: str,
    mapping: MappingFile,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    edit(path)
    for _ in range(3):
        assert list(mapping.users()) == ["kirby"]
        assert mapping.owner_of("kirby@example.com").user == "kirby"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert told in record.getMessage()
    assert "what it said before still holds" in record.getMessage()
    assert "hunter2" not in caplog.text
    path.unlink(missing_ok=True)
    write_secret(path, text_for("mario"))
    assert list(mapping.users()) == ["mario"]


def test_every_fault_of_an_edit_is_told_and_the_next_one_anew(
    mapping: MappingFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        mapping.current()
        messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        caplog.clear()
        return messages

    path.write_text("users_id_mapping:\n- mail: a\n- mapped_user: b\n")
    assert len(told()) == 2
    path.write_text("users_id_mapping:\n- mail: a\n")
    assert len(told()) == 1
    path.write_text(text_for("kirby"))
    assert told() == []
    path.write_text("users_id_mapping:\n- mail: a\n")
    assert len(told()) == 1


def test_a_file_that_went_and_came_back_unchanged_is_no_fault_any_more(
    mapping: MappingFile, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = path.rename(path.with_name("away"))
    mapping.current()
    assert "No such file" in caplog.text
    away.rename(path)
    caplog.clear()
    caplog.set_level(logging.INFO)
    assert list(mapping.users()) == ["kirby"]
    assert "was read again: 1 users" in caplog.text


def test_while_it_changes_everybody_sees_one_or_the_other(mapping: MappingFile, path: Path) -> None:
    def look(number: int) -> list[str]:
        if number % 5 == 0:
            user = "mario" if number % 2 else "kirby"
            write_secret(path.with_name(f"new-{number}"), text_for(user)).replace(path)
        return list(mapping.users())

    with ThreadPoolExecutor(8) as pool:
        assert {tuple(users) for users in pool.map(look, range(100))} == {("kirby",), ("mario",)}


def test_the_start_refuses_what_a_later_look_would(path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(SettingsFault, match=r"JARVICE_USERS_ID_MAPPING: .*users\.yaml: others can read it"):
        MappingFile(path)


def test_without_keys_others_may_read_it_but_not_change_it(path: Path) -> None:
    path.write_text(text_for("kirby", "mario", key=None))
    path.chmod(0o644)
    assert list(MappingFile(path, keys_needed=False).users()) == ["kirby", "mario"]
    path.chmod(0o664)
    with pytest.raises(SettingsFault, match="others can change it, its mode is 0664"):
        MappingFile(path, keys_needed=False)


def test_a_key_is_one_whatever_other_entries_of_its_user_have(path: Path) -> None:
    entries = [{"mail": mail, "mapped_user": "kirby"} for mail in ("a@example.com", "b@example.com")]
    entries[0]["ssh_private_key_b64"] = b64(KEY)
    path.write_text(yaml.safe_dump({"users_id_mapping": entries}))
    path.chmod(0o644)
    with pytest.raises(SettingsFault, match="others can read it"):
        MappingFile(path, keys_needed=False)
    path.chmod(0o600)
    MappingFile(path, keys_needed=False)
    assert KEY.splitlines()[1] not in redact(f"as in {KEY}")


def test_an_entry_needs_a_key_where_nobody_signs(path: Path) -> None:
    path.write_text(text_for("kirby", key=None))
    told = r"entry 1 \(kirby@example.com\): ssh_private_key_b64 is missing; .*JARVICE_SLURM_SSH_CA_KEY"
    with pytest.raises(SettingsFault, match=told):
        MappingFile(path)


# ---- through a connector ----


@pytest.fixture
def settings(server: SshServer, tmp_path: Path) -> Settings:
    return Settings(
        slurm_cluster_addr="127.0.0.1",
        slurm_cluster_port=server.port,
        slurm_ssh_pkey=KEY,
        slurm_bin_dir=str(FakeSlurm(tmp_path / "slurm").folder),
        state_dir=tmp_path / "state",
    )


def test_a_new_key_makes_a_new_connection(
    mapping: MappingFile, path: Path, settings: Settings, server: SshServer
) -> None:
    path.write_text(text_for("kirby", key=KEY))
    host = ClusterHost(settings)
    try:
        for _ in range(2):
            host.ask(Ping(), login=login_of(mapping.key_holder("kirby")))
        assert server.logins == ["kirby"]
        new = private_key_text("ecdsa")
        server.users = {"kirby": private_key(new, of="kirby")}
        path.write_text(text_for("kirby", key=new))
        host.ask(Ping(), login=login_of(mapping.key_holder("kirby")))
        assert server.logins == ["kirby", "kirby"]
    finally:
        host.close()


def test_a_check_of_the_cluster_looks_at_the_mapping_too(
    mapping: MappingFile, path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    connector = by_sbatch(settings, mapping)
    try:
        path.write_text("users_id_mapping: [")
        connector.check()
        assert "is not YAML" in caplog.text
    finally:
        connector.close()
