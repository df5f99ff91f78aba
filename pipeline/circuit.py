"""Who may ask a far side that does not answer: one at a time, now and then, to see whether it does again.

While it answers everybody asks. After a few calls in a row without an answer the circuit opens: for a while
every call fails at once, with the reason, before anything is sent. Then one call, the probe, goes through;
the others still fail. Its answer closes the circuit, its failure makes the next while longer, up to a bound.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import DownstreamError, Unavailable, Unreachable

_log = logging.getLogger(__name__)

_FAILURES = 3
"""Calls in a row without an answer that open a circuit."""

_SHORTEST = 1.0
"""Seconds for which a circuit that has just opened stays open."""

_LONGEST = 30.0
"""Seconds between two probes at the most, so that an outage is over for us soon after it is over. An upstream
gives up jobs that it has not heard of for long."""


class Circuit:
    """Guards one far side. Safe for any number of threads."""

    def __init__(
        self,
        far_side: str,
        *,
        silences: tuple[type[Exception], ...] = (Unreachable,),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``far_side`` is how a person calls it; ``silences`` are the errors that say it does not answer.

        ``now`` is shown to people, seconds since the epoch; ``jitter`` gives numbers from 0 to 1.
        """
        self._far_side = far_side
        self._silences = silences
        self._clock = clock
        self._now = now
        self._jitter = jitter
        self._lock = threading.Lock()
        self._failures = 0
        """Calls without an answer since the last one that had one."""
        self._first_failure = 0.0
        self._answered = float("-inf")
        self._reason = ""
        self._pause = 0.0
        """Seconds between the last failure and the next probe; 0: the circuit is closed."""
        self._due = 0.0
        self._probing = False

    @contextmanager
    def call(self, *, conclusive: bool = True) -> Iterator[None]:
        """Ask the far side in here.

        An error says that it has answered, as a refusal does, unless it is ``Unavailable``: that can have any
        reason. A call that fails though another has had an answer since it began was slow for reasons of its
        own. Nor does an inner circuit's error count here. Where ``conclusive`` is false an answer tells
        nothing either: what answers is not all that is asked in other calls.

        Raises:
            Unreachable: the circuit is open; nothing was sent.
        """
        is_probe = self._enter()
        begun = self._clock()
        answered, silence = False, None
        try:
            yield
            answered = conclusive
        except self._silences as fault:
            if not (isinstance(fault, Unreachable) and fault.is_counted):
                silence = fault
            raise
        except DownstreamError as fault:
            answered = conclusive and not isinstance(fault, Unavailable)
            raise
        finally:
            with self._lock:
                if is_probe:
                    self._probing = False
                if answered:
                    self._close()
                elif silence:
                    self._count(silence, begun, is_probe)

    def _enter(self) -> bool:
        """Whether this call is the probe. Raises Unreachable."""
        with self._lock:
            if not self._pause:
                return False
            left = self._due - self._clock()
            if left <= 0 and not self._probing:
                self._probing = True
                return True
            raise self._turned_away(left)

    def _turned_away(self, left: float) -> Unreachable:
        again = f"asked again at {self._shown(self._due)}" if left > 0 else "being asked again"
        since = self._shown(self._first_failure)
        told = Unreachable(f"{self._far_side} has not answered since {since} ({self._reason}); it is {again}")
        told.retry_after, told.is_counted = max(1.0, left), True
        return told

    def _close(self) -> None:
        self._answered = self._clock()
        if self._pause:
            away = self._answered - self._first_failure
            _log.info("%s answers again, after %.0f s", self._far_side, away)
        self._failures, self._pause = 0, 0.0

    def _count(self, fault: Exception, begun: float, is_probe: bool) -> None:
        if self._answered > begun:
            return
        if not self._failures:
            self._first_failure = self._clock()
        self._failures += 1
        self._reason = str(fault)
        was_closed = not self._pause
        if is_probe or (was_closed and self._failures >= _FAILURES):
            self._pause = min(2 * self._pause or _SHORTEST, _LONGEST)
            wait = self._pause * (1 + self._jitter()) / 2
            self._due = self._clock() + wait
            if was_closed:
                _log.warning(
                    "%s does not answer: %s. Until it does, requests that need it fail at once, and it is "
                    "asked again every %g s at the most",
                    self._far_side, self._reason, _LONGEST,
                )  # fmt: skip
            else:
                _log.debug("%s still does not answer: %s", self._far_side, self._reason)
        if isinstance(fault, Unreachable):
            fault.is_counted = True
            if self._pause:
                fault.retry_after = max(1.0, self._due - self._clock())

    def _shown(self, moment: float) -> str:
        """A moment of the clock, as a person reads it."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now() + moment - self._clock()))
