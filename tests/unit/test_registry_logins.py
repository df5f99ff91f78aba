"""The site's file of registry logins: who gets one, and what is told of a file that is wrong."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import SettingsFault
from pipeline.job import Credentials
from pipeline.settings import Settings
from tests.harness.specs import LOGINS, container, read, refused, with_logins


@pytest.mark.parametrize(
    ("name", "image", "password"),
    [
        ("lab", "registry.example.com/app:1", "hunter2"),
        ("other", "other.example.com:5000/app:1", "hunter3"),
        ("hub", "ubuntu", "hunter4"),
        ("hub", "docker.io/group/app", "hunter4"),
        ("hub", "index.docker.io/group/app", "hunter4"),
    ],
)
def test_a_login_of_the_images_registry(tmp_path: Path, name: str, image: str, password: str) -> None:
    login = container(read(with_logins(tmp_path), image=image, credentials=name)).image.credentials
    assert login == Credentials("robot", password)


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("lab", "/images/app.sif", "credentials: is not of use for an image that is a file"),
        ("unknown", "registry.example.com/app", "credentials: 'unknown' is not a login of "),
        (
            "lab",
            "other.example.com/app",
            "credentials: 'lab' is not a login for other.example.com: it is one for registry.example.com",
        ),
        ("lab", "ubuntu", "credentials: 'lab' is not a login for index.docker.io: it is one for registry"),
        ("other", "other.example.com/app", "credentials: 'other' is not a login for other.example.com: it"),
        ("short", "ubuntu", "credentials: 'short' is not a login for index.docker.io: it is one for short"),
        ("lab", "registry.example.com.evil/app", "credentials: 'lab' is not a login for registry.example"),
    ],
)  # fmt: skip
def test_a_login_goes_nowhere_else(tmp_path: Path, name: str, image: str, message: str) -> None:
    said = refused(with_logins(tmp_path), image=image, credentials=name)
    assert said.startswith(message)
    assert "hunter" not in said


def test_without_a_file_no_login_is_known() -> None:
    message = "credentials: 'lab' is not known: JARVICE_DOWNSTREAM_REGISTRY_LOGINS names no file"
    assert refused(credentials="lab") == message


def test_the_file_is_read_only_for_a_job_that_names_a_login(tmp_path: Path) -> None:
    assert read(Settings(registry_logins=tmp_path / "none")).secrets == ()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o644])
def test_a_file_of_logins_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SettingsFault, match=rf"others can read it, its mode is {mode:04o}: chmod 600 it"):
        read(with_logins(tmp_path, LOGINS, mode), image="registry.example.com/app", credentials="lab")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_only_the_owner_may(tmp_path: Path, mode: int) -> None:
    settings = with_logins(tmp_path, LOGINS, mode)
    assert stat.S_IMODE((tmp_path / "logins.yaml").stat().st_mode) == mode
    assert read(settings, image="registry.example.com/app", credentials="lab").secrets


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "[hunter2]",
        "hunter2: [",
        "password: hunter2",
        "{lab: {registry: r, username: u, password: hunter2}}",
        "registry_logins: hunter2",
        "registry_logins: [hunter2]",
        "registry_logins: {lab: hunter2}",
        "registry_logins: {lab: [hunter2]}",
        "registry_logins: {lab: {registry: r, password: hunter2}}",
        "registry_logins: {lab: {registry: r, username: u, password:hunter2}}",
        "registry_logins: {lab: {registry: r, username: u, passwort: hunter2}}",
        "registry_logins: {lab: {registry: r, username: u, password: hunter2, hunter2: 1}}",
        'registry_logins: {lab: {registry: r, username: u, password: "hunter2\\n"}}',
        'registry_logins: {lab: {registry: r, username: u, password: "hunter2\\ud800"}}',
        "registry_logins: {lab: {registry: hunter2/, username: u, password: p}}",
        "registry_logins: {lab: {registry: r, username: u, password: 5}, 5: hunter2}",
        "{registry_logins: {}, hunter2: 1}",
        "registry_logins:\n  lab:\n    password: hunter2\n   x: 1\n",
        "5: !!python/object:hunter2 {}",
    ],
)
def test_a_broken_file_of_logins_is_named_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsFault) as fault:
        read(with_logins(tmp_path, text), image="registry.example.com/app", credentials="lab")
    assert fault.value.message.startswith(f"JARVICE_DOWNSTREAM_REGISTRY_LOGINS: {tmp_path / 'logins.yaml'}: ")
    assert "hunter" not in fault.value.message
    assert "hunter" not in str(fault.value.__cause__)


@pytest.mark.parametrize("make", [lambda file: None, Path.mkdir], ids=["missing", "a folder"])
def test_a_file_of_logins_that_is_not_there_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    file = tmp_path / "logins.yaml"
    make(file)
    with pytest.raises(SettingsFault, match=f"^JARVICE_DOWNSTREAM_REGISTRY_LOGINS: {file}: cannot be read: "):
        read(Settings(registry_logins=file), credentials="lab")
