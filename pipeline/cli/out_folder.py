"""The folder that a dry run writes into, one file for each job."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp

from pipeline.cli.job_file import FileArgument
from pipeline.errors import InvalidRequest


class OutFolder:
    """Files that only their owner reads: a job's script may hold what nobody else should."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources: dict[str, FileArgument] = {}

    def write(self, name: str, text: str, source: FileArgument) -> Path:
        """The file with what was made of the source.

        Raises:
            InvalidRequest: it cannot be written, or another source has written it in this run.
        """
        file = self._folder / name
        if name in self._sources:
            raise InvalidRequest(f"{file} is already that of {self._sources[name]}, a job of the same name")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._replace(file, text)
        except OSError as fault:
            raise InvalidRequest(f"cannot write {file}: {fault.strerror}") from None
        self._sources[name] = source
        return file

    def _replace(self, file: Path, text: str) -> None:
        """A new file takes the old one's place: that one may be open to others."""
        handle, new = mkstemp(prefix=".", dir=self._folder)
        try:
            with open(handle, "w", encoding="utf-8", newline="") as sink:
                sink.write(text)
            os.replace(new, file)
        except OSError:
            os.unlink(new)
            raise
