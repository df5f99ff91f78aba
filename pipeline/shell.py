"""Text for bash: quoting, where a line runs, here-documents. Nothing here runs anything."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

_PLAIN_LINE = re.compile(r"[^\x00-\x1f\x7f]*")


def quote(value: str) -> str:
    """The value as one word of bash that stays on one line, whatever it holds.

    Raises:
        ValueError: the value holds a NUL, which no bash word can carry.
    """
    if "\0" in value:
        raise ValueError("a NUL character cannot be passed to a shell")
    if _PLAIN_LINE.fullmatch(value):
        return shlex.quote(value)
    # A line break inside quotes would end a comment or a directive: $'...' keeps it on the line.
    escaped = "".join(
        f"\\x{ord(char):02x}" if ord(char) < 0x20 or ord(char) == 0x7F else char
        for char in value.replace("\\", "\\\\").replace("'", "\\'")
    )
    return f"$'{escaped}'"


def join(words: Iterable[str]) -> str:
    """A command line of these words."""
    return " ".join(quote(word) for word in words)


def at_home(path: str) -> str:
    """What begins a line about this path, which is absolute or relative to the home folder.

    A shell that is kept would go on in a home folder that was moved away, or that its file server has
    forgotten. Lines without such paths have to run while that file server is away.
    """
    return "" if path.startswith("/") else "cd 2>/dev/null; "


def boundary(text: str, word: str = "END_OF_SCRIPT") -> str:
    """A here-document's end mark that is no line of the text."""
    lines = set(text.split("\n"))
    mark, count = word, 0
    while mark in lines:
        count += 1
        mark = f"{word}_{count}"
    return mark
