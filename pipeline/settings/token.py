"""A token from a setting, or from a file that somebody renews."""

from __future__ import annotations

import threading
from pathlib import Path


class Token:
    """A token that stays as it is."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for a text that no HTTP header can carry."""
        self._text = checked(text)

    def current(self) -> str:
        """The token."""
        return self._text


class TokenFile:
    """A token in a file, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        """Raises OSError or ValueError: the file cannot be read, or holds no token."""
        self._path = path
        self._lock = threading.Lock()
        self._seen = (0, 0, 0)
        self._text = ""
        self.current()

    def current(self) -> str:
        """The token that the file holds now. Raises OSError or ValueError as the start does."""
        with self._lock:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._text = checked(self._path.read_text(encoding="utf-8"))
                self._seen = seen
            return self._text


def checked(text: str) -> str:
    """The token in the text. Raises ValueError when it is none."""
    token = text.strip().removeprefix("SLURM_JWT=")  # as scontrol prints it
    if not token or " " in token or not (token.isascii() and token.isprintable()):
        raise ValueError("is not a token")
    return token
