"""Who may read and change the files that hold secrets, and when a file is read again."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.settings.kept_file import Content, LooseMode, WatchedFile, read_file
from tests.harness.secret_files import write_secret

OURS = Content(b"secret", os.geteuid(), 0o600)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_secret_of_our_own(mode: int, tmp_path: Path) -> None:
    file = write_secret(tmp_path / "file", "secret")
    file.chmod(mode)
    assert read_file(file).for_us_alone() == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o610, 0o620, 0o602, 0o666, 0o777])
def test_a_secret_that_others_get_at_is_not_taken(mode: int, tmp_path: Path) -> None:
    file = write_secret(tmp_path / "file", "secret")
    file.chmod(mode)
    with pytest.raises(LooseMode, match=f"its mode is {mode:04o}: chmod 600 it"):
        read_file(file).for_us_alone()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o444, 0o600])
def test_what_is_no_secret_others_may_read_but_not_change(mode: int) -> None:
    assert replace(OURS, mode=mode).unchanged_by_others() == b"secret"
    for loose in (mode | 0o020, mode | 0o002):
        with pytest.raises(LooseMode, match="others can change it"):
            replace(OURS, mode=loose).unchanged_by_others()


def test_a_file_of_roots_may_be_read_by_the_group_of_a_service_that_is_not_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Kubernetes mounts a secret with fsGroup."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for mode in (0o400, 0o440, 0o640):
        assert Content(b"secret", 0, mode).for_us_alone() == b"secret"
    for mode in (0o444, 0o660, 0o450):
        with pytest.raises(LooseMode):
            Content(b"secret", 0, mode).for_us_alone()
    with pytest.raises(LooseMode):
        Content(b"secret", 1000, 0o440).for_us_alone()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LooseMode):
        Content(b"secret", 0, 0o440).for_us_alone()


def test_what_is_advised_leaves_the_file_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LooseMode, match="others can change it, its mode is 0664: chmod go-w it"):
        Content(b"of root's, and its group's", 0, 0o664).unchanged_by_others()


@pytest.mark.parametrize("us", [0, 1000])
def test_a_file_of_somebody_elses_is_not_taken(us: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: us)
    for read in (Content.for_us_alone, Content.unchanged_by_others):
        with pytest.raises(LooseMode, match=f"user 1001 owns it .* make it root's or user {us}'s"):
            read(Content(b"secret", 1001, 0o600))


def aged(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file as it is a while later: its change time cannot be set."""
    later = file.stat().st_ctime + 60
    monkeypatch.setattr(time, "time", lambda: later)
    return file


def test_a_file_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = WatchedFile(aged(write_secret(tmp_path / "file", "first"), monkeypatch))
    first = file.read()
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("it was read again"))
    assert file.read() is first


def test_a_change_within_the_same_tick_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither size nor times tell it: a file that is young is read again each time."""
    path = write_secret(tmp_path / "file", "first")
    still = path.stat()
    monkeypatch.setattr(Path, "stat", lambda self, **_: still)
    monkeypatch.setattr(os, "fstat", lambda _: still)
    file = WatchedFile(path)
    assert file.read().data == b"first"
    path.write_bytes(b"other")
    assert file.read().data == b"other"


def test_what_is_written_again_as_it_was_is_the_same(tmp_path: Path) -> None:
    path = write_secret(tmp_path / "file", "first")
    file = WatchedFile(path)
    first = file.read()
    path.write_text("first")
    assert file.read() is first
    path.chmod(0o644)
    assert file.read() is not first


def test_a_file_that_went_and_came_back_is_read(tmp_path: Path) -> None:
    path = write_secret(tmp_path / "file", "first")
    file = WatchedFile(path)
    file.read()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        file.read()
    write_secret(path, "second")
    assert file.read().data == b"second"
