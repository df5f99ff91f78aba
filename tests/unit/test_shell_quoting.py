"""What is quoted for bash comes back from bash."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import shell
from tests.harness.text import HOSTILE_TEXT


def words_of(line: str) -> list[str]:
    """The words that bash makes of a line."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True
    )
    return done.stdout.decode("utf-8").split("\0")[:-1]


@settings(max_examples=20, deadline=None)
@given(st.lists(HOSTILE_TEXT, min_size=20, max_size=60))
def test_words_come_back_from_bash(words: list[str]) -> None:
    assert words_of(shell.join(words)) == words


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "a b", "it's", "$'x'", "\\'", "$(touch x)", "`id`", "!!", "~", "*", "-n", "\u2028"),
        *("\n", "a\n\n", "\r\n", "\t", "\x01\x7f", "\\x41\n", "'\n'", "é\nü"),
    ],
)
def test_a_word_comes_back_from_bash(value: str) -> None:
    assert words_of(shell.quote(value)) == [value]


@given(HOSTILE_TEXT)
def test_a_word_stays_on_one_line_without_control_characters(value: str) -> None:
    quoted = shell.quote(value)
    assert not any(ord(character) < 0x20 or character == "\x7f" for character in quoted)


def test_plain_words_stay_plain() -> None:
    assert shell.join(["squeue", "--format=%A", "/a/b.c"]) == "squeue --format=%A /a/b.c"


def test_a_nul_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="NUL"):
        shell.quote("a\0b")


@given(HOSTILE_TEXT | st.text(st.sampled_from("END_OF_SCRIPT12\n")))
def test_a_boundary_is_no_line_of_the_text(text: str) -> None:
    assert shell.boundary(text) not in text.split("\n")


def test_a_boundary_gives_way() -> None:
    assert shell.boundary("a\nEND_OF_SCRIPT\nEND_OF_SCRIPT_1") == "END_OF_SCRIPT_2"
    assert shell.boundary(" END_OF_SCRIPT\nEND_OF_SCRIPT ", "X") == "X"
