"""Who may go now, where only one may at a time."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from pipeline.errors import DownstreamError, Unavailable


class Turns:
    """Locks that exist only while somebody has or wants them."""

    def __init__(self) -> None:
        self._busy: set[Hashable] = set()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, key: Hashable, patience: float = 15.0) -> Iterator[None]:
        """Have this key for oneself.

        Raises:
            Unavailable: others had it for all of ``patience`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: key not in self._busy, patience):
                raise Unavailable(f"another request for the same job is not done after {patience:g} s")
            self._busy.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()


class OneForAll:
    """One asks for all who want the same answer; a failure is theirs too, and nobody asks again for it."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._failures = 0
        self._last: DownstreamError | None = None

    @contextmanager
    def turn(self, otherwise: str, patience: float = 15.0) -> Iterator[None]:
        """Be the one who asks, unless somebody has it while this one waits: look for that first.

        Raises:
            DownstreamError: it failed while this one waited.
            Unavailable: it was not known after ``patience`` seconds; says ``otherwise``.
        """
        before = self._failures
        if not self._asking.acquire(timeout=max(0.0, patience)):
            raise Unavailable(otherwise)
        try:
            if self._last and self._failures != before:
                raise self._last.again()
            try:
                yield
            except DownstreamError as fault:
                self._last = fault.again()
                self._failures += 1
                raise
            self._last = None
        finally:
            self._asking.release()
