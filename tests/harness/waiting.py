"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


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
