"""One poll for all: how often the cluster is asked, and what is answered when it does not answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.errors import DownstreamError, Nonsense, Unavailable, Unreachable
from pipeline.job import Phase
from pipeline.tracker import Tracker
from tests.harness.fake_connector import REF, RUNS, Clock, FakeConnector
from tests.harness.waiting import eventually

WAITS = replace(RUNS, job_id="8", name="2024-other", state="PENDING", phase=Phase.QUEUED, nodes=())


def tracker_of(connector: FakeConnector, clock: Clock) -> Tracker:
    return Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)


def test_the_snapshot_holds_the_jobs_by_phase() -> None:
    snapshot = tracker_of(FakeConnector([RUNS, WAITS]), Clock()).snapshot()
    assert snapshot.in_phase(Phase.RUNNING) == [RUNS]
    assert snapshot.in_phase(Phase.QUEUED) == [WAITS]
    assert snapshot.in_phase(Phase.ENDED) == []


def test_the_cluster_is_asked_once_an_interval_however_often_somebody_asks() -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = tracker_of(connector, clock)
    for second in range(20):
        clock.now = 1000.0 + second
        for _ in range(10):
            assert tracker.find(REF) == RUNS
    assert connector.polls == 4


def test_the_cluster_is_asked_once_an_interval_by_many_threads() -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = tracker_of(connector, clock)
    together = threading.Barrier(16)

    def ask(_: int) -> Phase:
        together.wait(10)
        return tracker.find(REF).phase

    with ThreadPoolExecutor(16) as pool:
        for round_ in range(1, 6):
            assert set(pool.map(ask, range(16))) == {Phase.RUNNING}
            assert connector.polls == round_
            clock.now += 5


def test_while_one_asks_the_others_have_the_last_snapshot() -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = tracker_of(connector, clock)
    tracker.snapshot()
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        asked.set()
        go_on.wait(10)

    connector.meanwhile, connector.live = slow, []
    clock.now += 6
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(tracker.snapshot)
        assert asked.wait(10)
        assert tracker.snapshot().in_phase(Phase.RUNNING) == [RUNS]
        go_on.set()
        assert poll.result(10).by_id == {}


def test_an_answer_is_never_older_than_its_greatest_age() -> None:
    """A poll that took long is as old as its beginning."""
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = tracker_of(connector, clock)

    def slow() -> None:
        clock.now += 15

    connector.meanwhile = slow
    tracker.snapshot()
    asked, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        go_on.wait(10)

    connector.meanwhile = hang
    clock.now += 6
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tracker.snapshot)
        assert asked.wait(10)
        second = pool.submit(tracker.snapshot)
        go_on.set()
        assert min(first.result(10).begun, second.result(10).begun) >= clock.now - 20


def test_a_poll_that_takes_too_long_is_no_answer() -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    connector.meanwhile = lambda: setattr(clock, "now", clock.now + 30)
    with pytest.raises(Unavailable, match="too old"):
        tracker_of(connector, clock).snapshot()


@pytest.mark.parametrize("fault", [Unavailable("no answer"), Nonsense("what?")])
def test_a_failed_poll_is_an_error_for_everybody_until_the_next_interval(fault: DownstreamError) -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = tracker_of(connector, clock)
    tracker.snapshot()
    clock.now += 5
    connector.fault = fault
    for _ in range(5):
        with pytest.raises(type(fault)):
            tracker.snapshot()
        with pytest.raises(type(fault)):
            tracker.find(REF)
    assert connector.polls == 2
    connector.fault = None
    clock.now += 5
    assert tracker.snapshot().in_phase(Phase.RUNNING) == [RUNS]


def test_an_unexpected_fault_never_makes_an_empty_list() -> None:
    connector, clock = FakeConnector([RUNS], fault=RuntimeError("a fault of the program")), Clock()
    tracker = tracker_of(connector, clock)
    with pytest.raises(RuntimeError):
        tracker.snapshot()
    with pytest.raises(Unavailable, match="broke off"):
        tracker.snapshot()
    connector.fault = None
    clock.now += 5
    assert tracker.snapshot().by_id == {"7": RUNS}


def test_who_waits_for_a_first_poll_gets_its_fault_too() -> None:
    connector, clock = FakeConnector(fault=Unavailable("no answer")), Clock()
    tracker = tracker_of(connector, clock)
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        asked.set()
        go_on.wait(10)

    connector.meanwhile = slow
    with ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(tracker.snapshot) for _ in range(4)]
        assert asked.wait(10)
        go_on.set()
        for poll in polls:
            with pytest.raises(Unavailable, match="no answer"):
                poll.result(10)
    assert connector.polls == 1


def test_a_job_that_was_just_submitted_is_known_at_once() -> None:
    connector, clock = FakeConnector([]), Clock()
    tracker = tracker_of(connector, clock)
    tracker.snapshot()
    tracker.submitted(WAITS)
    assert tracker.snapshot().in_phase(Phase.QUEUED) == [WAITS]
    assert connector.polls == 1


def test_a_job_that_is_submitted_during_a_poll_is_not_lost_by_it() -> None:
    connector, clock = FakeConnector([]), Clock()
    tracker = tracker_of(connector, clock)

    def submitted_meanwhile() -> None:
        clock.now += 1
        tracker.submitted(WAITS)

    connector.meanwhile = submitted_meanwhile
    assert tracker.snapshot().in_phase(Phase.QUEUED) == [WAITS]
    connector.meanwhile = lambda: None
    clock.now += 5
    assert tracker.snapshot().in_phase(Phase.QUEUED) == [], "the cluster's word counts again"


def test_what_the_cluster_says_of_a_new_job_counts() -> None:
    runs_already = replace(WAITS, state="RUNNING", phase=Phase.RUNNING)
    connector, clock = FakeConnector([runs_already]), Clock()
    tracker = tracker_of(connector, clock)
    connector.meanwhile = lambda: tracker.submitted(WAITS)
    assert tracker.snapshot().by_id == {"8": runs_already}


def test_nobody_waits_for_ever_for_a_poll_that_hangs() -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = Tracker(connector, interval=0.1, max_age=0.2, retention=60, clock=clock)
    asked, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        go_on.wait(10)

    connector.meanwhile = hang
    with ThreadPoolExecutor(1) as pool:
        pool.submit(tracker.snapshot)
        assert asked.wait(10)
        with pytest.raises(Unavailable, match="has not answered"):
            tracker.snapshot()
        go_on.set()
    eventually(lambda: tracker.snapshot().by_id, seconds=5, what="the poll's answer", pause=0.01)


def _open_circuit(seconds: float) -> Unreachable:
    fault = Unreachable("mg1 has not answered since yesterday")
    fault.retry_after = seconds
    return fault


def test_while_a_circuit_is_open_the_next_poll_waits_for_it() -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = tracker_of(connector, clock)
    tracker.snapshot()
    clock.now += 5
    connector.fault = _open_circuit(28)
    for second in range(28):
        clock.now = 1005.0 + second
        with pytest.raises(Unreachable) as told:
            tracker.snapshot()
        assert told.value.retry_after == 28 - second
    assert connector.polls == 2
    connector.fault = None
    clock.now = 1033.0
    assert tracker.snapshot().in_phase(Phase.RUNNING) == [RUNS]


def test_a_circuit_that_is_open_for_a_moment_does_not_make_polls_more_frequent() -> None:
    connector, clock = FakeConnector([RUNS], fault=_open_circuit(1)), Clock()
    tracker = tracker_of(connector, clock)
    for second in range(10):
        clock.now = 1000.0 + second
        with pytest.raises(Unreachable):
            tracker.snapshot()
    assert connector.polls == 2


def test_silence_is_known_without_asking() -> None:
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = tracker_of(connector, clock)
    assert tracker.silence() is None
    for fault, is_silence in ((Unavailable("what?"), False), (_open_circuit(8), True)):
        clock.now += 5
        connector.fault = fault
        with pytest.raises(Unavailable):
            tracker.snapshot()
        assert (tracker.silence() is not None) is is_silence
    polls = connector.polls
    clock.now += 100
    assert tracker.silence() is not None, "until somebody has had an answer"
    assert connector.polls == polls
    connector.fault = None
    tracker.snapshot()
    assert tracker.silence() is None
