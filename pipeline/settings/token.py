"""A token from a setting, or from a file that somebody renews."""

from __future__ import annotations

from pathlib import Path

from pipeline import redaction
from pipeline.settings.kept_file import WatchedFile


class Token:
    """A token that stays as it is."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for a text that no HTTP header can carry."""
        self._text = checked(text)
        redaction.know("token", [self._text])

    def current(self) -> str:
        """The token."""
        return self._text


class TokenFile:
    """A token in a file, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        """Raises OSError or ValueError: the file cannot be read, others can read it, or it holds no token."""
        self._file = WatchedFile(path)
        self._text = ""
        self.current()

    def current(self) -> str:
        """The token that the file holds now. Raises OSError or ValueError as the start does."""
        text = checked(self._file.read().for_us_alone().decode("utf-8"))
        if text != self._text:
            redaction.know(f"token in {self._file.path}", [text])
            self._text = text
        return text


def checked(text: str) -> str:
    """The token in the text. Raises ValueError when it is none."""
    token = text.strip().removeprefix("SLURM_JWT=")  # as scontrol prints it
    if not token or " " in token or not (token.isascii() and token.isprintable()):
        raise ValueError("is not a token")
    return token
