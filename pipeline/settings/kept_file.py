"""Files that hold secrets or say who is who: nobody else may read or change them, and they are read again.

The one place for the rule about modes, which is near to ssh's: a file that others can read or write is not
taken. Its group may read a file of root's, for that is how a service that is not root gets at secrets that
Kubernetes and systemd hand to it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_GROUP_READS = 0o040

_YOUNG = 2.0
"""Seconds: a file that was written this short ago may be written again with the same time."""


class LooseMode(ValueError):
    """Others can read or change the file; says what to do."""


@dataclass(frozen=True)
class Content:
    """What was in a file, and who could get at it."""

    data: bytes
    owner: int
    mode: int

    def for_us_alone(self) -> bytes:
        """The data of a file that holds a secret. Raises LooseMode."""
        from_root = self.owner == 0 and os.geteuid() != 0
        if self.mode & _OTHERS & ~(_GROUP_READS if from_root else 0):
            better = "640" if from_root else "600"
            raise LooseMode(f"others can read it, its mode is {self.mode:04o}: chmod {better} it")
        return self.unchanged_by_others()

    def unchanged_by_others(self) -> bytes:
        """The data of a file that others may read. Raises LooseMode."""
        if self.mode & _OTHERS_WRITE:
            raise LooseMode(f"others can change it, its mode is {self.mode:04o}: chmod go-w it")
        if self.owner not in (0, os.geteuid()):
            raise LooseMode(
                f"user {self.owner} owns it and can change it: make it root's or user {os.geteuid()}'s, who "
                "runs this"
            )
        return self.data


def read_file(path: Path) -> Content:
    """A file as it is now. Raises OSError."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        return Content(file.read(), found.st_uid, stat.S_IMODE(found.st_mode))


class WatchedFile:
    """A file that somebody edits or renews. Safe for any number of threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._content: Content | None = None

    def read(self) -> Content:
        """What is in it now; the same object as before unless something has changed. Raises OSError."""
        with self._lock:
            found = self.path.stat()
            seen = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
            if self._content is None or seen != self._seen:
                content = read_file(self.path)
                if content != self._content:
                    self._content = content
                young = time.time() - max(found.st_mtime, found.st_ctime) < _YOUNG
                self._seen = None if young else seen
            return self._content
