"""One at a time, for each of many keys."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from pipeline.errors import Unavailable


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
