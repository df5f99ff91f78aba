"""Waiting for a condition instead of sleeping, and bounds on what waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic  # as it is, whatever a test puts in its place in ``time``
from typing import TypeVar

Found = TypeVar("Found")

_TICK = 0.05


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done in here may take so long. Time in which this process is not let run does not count.

    It is for what waits: a call that keeps all other threads from running would not be counted either.
    """
    over = threading.Event()
    took = 0.0

    def count() -> None:
        nonlocal took
        last = monotonic()
        while not over.wait(_TICK):
            now = monotonic()
            took += min(now - last, 2 * _TICK)
            last = now

    counting = threading.Thread(target=count, daemon=True)
    counting.start()
    try:
        yield
    finally:
        over.set()
        counting.join()
    assert took < seconds, f"it took {took:.1f} s"


def eventually(
    look: Callable[[], Found | None], *, seconds: float = 60, what: str = "", pause: float = 0.1
) -> Found:
    """What ``look`` gives once it is truthy. Fails, with the last thing seen, after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or look} did not come within {seconds} s; last seen: {seen!r}")
        time.sleep(pause)
