"""One at a time, for each of many keys."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Turns:
    """Locks that exist only while somebody has or wants them."""

    def __init__(self) -> None:
        self._busy: set[Hashable] = set()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, key: Hashable) -> Iterator[None]:
        """Have this key for oneself."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._busy)
            self._busy.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()
