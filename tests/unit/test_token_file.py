"""Tokens: from a setting, or from a file that somebody renews."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.settings.token import Token, TokenFile


@pytest.fixture(autouse=True)
def files_are_our_own() -> Iterator[None]:
    """New files are mode 600, as the service wants those with secrets to be."""
    before = os.umask(0o077)
    yield
    os.umask(before)


WRONG = ["", " ", "two words", "a\tb", "a\nb", "é", "\0", "a\x7f", "SLURM_JWT=", "SLURM_JWT=a b"]


@pytest.mark.parametrize("text", ["abc.def.ghi", " abc.def.ghi\n", "SLURM_JWT=abc.def.ghi\n"])
def test_a_token_as_people_have_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    assert Token(text).current() == TokenFile(tmp_path / "token").current() == "abc.def.ghi"


@pytest.mark.parametrize("text", WRONG)
def test_what_no_header_can_carry_is_no_token(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ValueError, match="is not a token"):
        Token(text)
    with pytest.raises(ValueError, match="is not a token"):
        TokenFile(tmp_path / "token")


def test_a_file_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises((OSError, ValueError)):
            TokenFile(path)


def test_a_file_is_read_again_when_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    token = TokenFile(file)
    file.write_text("second")
    assert token.current() == "second"


def test_a_file_is_read_again_when_another_takes_its_place(tmp_path: Path) -> None:
    """As Kubernetes and careful scripts do: the size and the time may be the same."""
    file, other = tmp_path / "token", tmp_path / "other"
    file.write_text("first")
    token = TokenFile(file)
    other.write_text("other")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert token.current() == "other"


def test_a_link_that_leads_elsewhere_is_followed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"token-{name}")
    link = tmp_path / "token"
    link.symlink_to("one")
    token = TokenFile(link)
    link.unlink()
    link.symlink_to("two")
    assert token.current() == "token-two"


def test_others_may_not_read_it_later_either(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    token = TokenFile(file)
    file.chmod(0o644)
    with pytest.raises(ValueError, match="others can read it, its mode is 0644: chmod 600 it"):
        token.current()
    file.chmod(0o600)
    assert token.current() == "first"


def test_a_file_that_is_half_written_is_an_error_and_the_next_look_finds_it_whole(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    token = TokenFile(file)
    file.write_text("")
    for _ in range(2):
        with pytest.raises(ValueError, match="is not a token"):
            token.current()
    file.write_text("second")
    assert token.current() == "second"


def test_tokens_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2")
    assert "hunter2" not in repr(Token("hunter2")) + repr(TokenFile(tmp_path / "token"))
