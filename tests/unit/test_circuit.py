"""A far side that does not answer is left alone, and found again soon after it answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from pipeline.circuit import Circuit
from pipeline.errors import DownstreamError, Nonsense, Refused, Unavailable, Unreachable
from tests.harness.fake_connector import Clock


class FarSide:
    """Counts who asks it; answers unless it has a fault."""

    def __init__(self, *, jitter: float = 1.0, **words: object) -> None:
        self.clock = Clock()
        self.circuit = Circuit(
            "mg1",
            clock=self.clock,
            now=lambda: self.clock.now + 1_700_000_000,
            jitter=lambda: jitter,
            **words,  # type: ignore[arg-type]
        )
        self.fault: Exception | None = None
        self.asked = 0

    def ask(self) -> None:
        with self.circuit.call():
            self.asked += 1
            if self.fault:
                raise type(self.fault)(*self.fault.args)

    def fails(self, times: int = 1, fault: type[Exception] = Unreachable) -> None:
        for _ in range(times):
            self.fault = fault("no route to host")
            with pytest.raises(fault):
                self.ask()

    @contextmanager
    def under_way(self) -> Iterator[threading.Event]:
        """A call that ends, with the fault of that moment, when the event is set."""
        inside, go_on = threading.Event(), threading.Event()

        def ask() -> None:
            with self.circuit.call():
                inside.set()
                assert go_on.wait(10)
                if self.fault:
                    raise self.fault

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(ask)
            assert inside.wait(10)
            yield go_on
            go_on.set()
            done.exception(10)


def test_after_three_calls_without_an_answer_the_far_side_is_left_alone() -> None:
    far = FarSide()
    far.fails(50)
    assert far.asked == 3


def test_who_is_turned_away_is_told_since_when_why_and_when_it_is_asked_again() -> None:
    far = FarSide()
    far.fails(3)
    with pytest.raises(Unreachable) as told:
        far.ask()
    assert str(told.value) == (
        "mg1 has not answered since 2023-11-14T22:30:00Z (no route to host); "
        "it is asked again at 2023-11-14T22:30:01Z"
    )
    assert told.value.retry_after == 1


def test_one_answer_and_the_count_begins_anew() -> None:
    far = FarSide()
    for _ in range(5):
        far.fails(2)
        far.fault = None
        far.ask()
    assert far.asked == 15


@pytest.mark.parametrize("fault", [Refused, Nonsense, Unavailable, ValueError])
def test_what_does_not_say_that_the_far_side_is_silent_opens_nothing(fault: type[Exception]) -> None:
    far = FarSide()
    far.fails(20, fault)
    assert far.asked == 20


def test_it_is_asked_again_after_a_time_that_doubles_up_to_a_bound() -> None:
    far = FarSide()
    far.fails(3)
    pauses = []
    for _ in range(8):
        before, asked = far.clock.now, far.asked
        while far.asked == asked:
            far.clock.now += 0.25
            far.fails()
        pauses.append(far.clock.now - before)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_jitter_shortens_a_pause_by_half_at_the_most() -> None:
    far = FarSide(jitter=0.0)
    far.fails(3)
    far.clock.now += 0.49
    far.fails()
    assert far.asked == 3
    far.clock.now += 0.01
    far.fails()
    assert far.asked == 4


def test_exactly_one_finds_out_whether_it_answers_again() -> None:
    far = FarSide()
    far.fails(3)
    far.clock.now += 1
    with far.under_way() as go_on:
        for _ in range(10):
            with pytest.raises(Unreachable, match="it is being asked again"):
                far.ask()
        far.fault = None
        go_on.set()
    far.ask()
    assert far.asked == 4


def test_what_failed_in_between_was_asked_before_it_opened_and_makes_it_no_longer() -> None:
    far = FarSide()
    with far.under_way(), far.under_way():
        far.fails(3)
    far.clock.now += 1
    far.fault = None
    far.ask()
    assert far.asked == 4


def test_a_late_answer_closes_it() -> None:
    far = FarSide()
    with far.under_way():
        far.fails(3)
        far.fault = None
    far.ask()


def test_a_call_that_fails_while_others_are_answered_is_its_own_fault() -> None:
    """A command that hangs on one user's files says nothing of the host."""
    far = FarSide()
    for _ in range(5):
        with far.under_way():
            far.clock.now += 1
            far.fault = None
            far.ask()
            far.fault = Unreachable("no answer within 15 s")
    far.fault = None
    far.ask()


def test_a_probe_that_tells_nothing_leaves_it_to_the_next_call() -> None:
    far = FarSide()
    far.fails(3)
    far.clock.now += 1
    far.fails(1, Unavailable)
    far.fails(1, KeyError)
    assert far.asked == 5
    far.fault = None
    far.ask()
    assert far.asked == 6


def test_an_answer_that_proves_little_closes_nothing() -> None:
    far = FarSide()
    far.fails(2)
    with far.circuit.call(conclusive=False):
        pass
    far.fails(2)
    assert far.asked == 3


def test_each_failure_counts_once_in_the_circuit_next_to_it() -> None:
    """Where the way to slurmctld is cut, slurmctld is not to blame: it is asked as soon as there is a way."""
    outer, inner = FarSide(), FarSide()
    inner.fault = Unreachable("no route to host")
    for _ in range(20):
        inner.fault = Unreachable("no route to host")
        with pytest.raises(Unreachable), outer.circuit.call():
            inner.ask()
    assert inner.asked == 3
    inner.fault = None
    inner.clock.now += 1
    with outer.circuit.call():
        inner.ask()


def test_other_errors_can_be_silence_too() -> None:
    far = FarSide(silences=(Unreachable, EOFError))
    far.fails(3, EOFError)
    with pytest.raises(DownstreamError, match="mg1 has not answered since"):
        far.ask()


def test_an_outage_is_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    far = FarSide()
    far.fails(20)
    for _ in range(5):
        far.clock.now += 30
        far.fails(3)
    far.fault = None
    far.clock.now += 30
    far.ask()
    opened, closed = caplog.records
    assert opened.levelno == logging.WARNING
    assert "mg1 does not answer: no route to host" in opened.message
    assert closed.message == "mg1 answers again, after 180 s"


def test_many_threads_and_a_far_side_that_comes_back() -> None:
    far = FarSide()
    far.fault = Unreachable("away")

    def ask(_: int) -> bool:
        try:
            far.ask()
        except Unreachable:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert not any(pool.map(ask, range(500)))
        far.fault = None
        assert not any(pool.map(ask, range(500)))
        far.clock.now += 1
        list(pool.map(ask, range(500)))
        assert all(pool.map(ask, range(500)))
