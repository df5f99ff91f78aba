"""Timing and its summary."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def milliseconds(action: Callable[[], Any], times: int) -> list[float]:
    """How long each of some calls took."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def summary(taken: list[float]) -> str:
    """Median, 95th percentile and worst."""
    ordered = sorted(taken)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    middle = statistics.median(ordered)
    return f"p50 {middle:.1f} ms, p95 {p95:.1f} ms, max {ordered[-1]:.1f} ms, n {len(ordered)}"


def rate(actions: list[Callable[[], Any]], workers: int) -> tuple[float, int]:
    """Actions a second with so many at a time, and how many of them failed."""

    def attempt(action: Callable[[], Any]) -> bool:
        try:
            action()
        except (AssertionError, OSError):
            return False
        return True

    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(attempt, actions))
    return len(actions) / (time.perf_counter() - begun), done.count(False)
