"""What became of jobs that the cluster's list no longer has."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.connectors.protocol import Ends
from pipeline.errors import NotFound, Unavailable
from pipeline.job import JobRef, JobStatus, Phase
from pipeline.tracker import Tracker
from tests.harness.fake_connector import ENDED, REF, RUNS, Clock, FakeConnector
from tests.harness.waiting import eventually


def with_job_that_left(over: bool) -> tuple[Tracker, FakeConnector, Clock]:
    """Job 7 ran, and is gone from the list."""
    connector, clock = FakeConnector([RUNS]), Clock()
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)
    tracker.snapshot()
    clock.now += 5
    connector.live = []
    connector.over = [ENDED] if over else []
    return tracker, connector, clock


def test_a_job_that_left_is_settled_once_and_remembered() -> None:
    tracker, connector, clock = with_job_that_left(over=True)
    for _ in range(5):
        assert tracker.find(REF) == ENDED
        clock.now += 5
    assert connector.asked_ends == [["7"]]


def test_an_ended_job_that_the_list_had_needs_no_search() -> None:
    connector, clock = FakeConnector([ENDED]), Clock()
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)
    assert tracker.find(REF) == ENDED
    connector.live = []
    clock.now += 5
    assert tracker.find(REF) == ENDED
    assert connector.asked_ends == []


def test_jobs_that_left_are_settled_together() -> None:
    others = [replace(RUNS, job_id=str(number), name=f"2024-{number}") for number in range(10, 15)]
    tracker, connector, clock = with_job_that_left(over=True)
    connector.live = [*others]
    tracker.snapshot()
    clock.now += 5
    connector.live = []
    connector.over += [replace(ENDED, job_id=job.job_id, name=job.name) for job in others]
    for job in others:
        assert tracker.find(JobRef(job.name, 1, job.job_id)).state == "COMPLETED"
    assert connector.asked_ends == [["10", "11", "12", "13", "14", "7"]]


def test_an_end_that_is_not_recorded_yet_is_worth_asking_again() -> None:
    tracker, connector, _ = with_job_that_left(over=False)
    with pytest.raises(Unavailable, match="not recorded yet") as fault:
        tracker.find(REF)
    assert fault.value.job == REF.name
    connector.over = [ENDED]
    assert tracker.find(REF) == ENDED


def test_a_job_that_ended_before_the_first_poll_was_there_all_the_same() -> None:
    connector, clock = FakeConnector([]), Clock()
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)
    tracker.submitted(RUNS)
    clock.now += 5
    with pytest.raises(Unavailable, match="not recorded yet"):
        tracker.find(REF)
    connector.over = [ENDED]
    assert tracker.find(REF) == ENDED


def test_a_job_that_comes_back_runs_again() -> None:
    """slurmctld lost its state and read it from its backup, or the job was requeued."""
    tracker, connector, clock = with_job_that_left(over=True)
    assert tracker.find(REF) == ENDED
    connector.live = [RUNS]
    clock.now += 5
    assert tracker.find(REF) == RUNS


def test_a_job_of_an_earlier_start_is_found_by_asking() -> None:
    connector = FakeConnector([], over=[ENDED])
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=Clock())
    assert tracker.find(REF) == ENDED


def test_a_job_that_nobody_knows_is_not_found() -> None:
    tracker = Tracker(FakeConnector([]), interval=5, max_age=20, retention=60, clock=Clock())
    with pytest.raises(NotFound, match=f"no job 7 named {REF.name}"):
        tracker.find(REF)


def test_a_job_that_another_replica_has_sent_since_the_last_poll_is_there() -> None:
    connector, clock = FakeConnector([]), Clock()
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)
    tracker.snapshot()
    clock.now += 1
    connector.live = [RUNS]
    assert tracker.find(REF) == RUNS
    assert connector.polls == 2


def test_a_job_that_was_never_seen_is_not_denied_when_the_cluster_does_not_answer() -> None:
    connector, clock = FakeConnector([]), Clock()
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)
    tracker.snapshot()
    clock.now += 1
    connector.fault = Unavailable("slurmctld is away")
    with pytest.raises(Unavailable, match="slurmctld is away"):
        tracker.find(REF)


def test_a_job_that_another_replica_has_sent_is_there_while_accounting_is_away() -> None:
    connector, clock = FakeConnector([], ends_fault=Unavailable("accounting is away")), Clock()
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)
    tracker.snapshot()
    clock.now += 1
    connector.live = [RUNS]
    assert tracker.find(REF) == RUNS
    assert connector.asked_ends == []


def test_one_list_is_enough_for_all_who_ask_meanwhile_for_jobs_that_were_never_seen() -> None:
    connector, clock = FakeConnector([]), Clock()
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=clock)
    tracker.snapshot()
    listing, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        listing.set()
        go_on.wait(10)

    def ask(number: int) -> str:
        with pytest.raises(NotFound) as fault:
            tracker.find(JobRef(f"2024-{number}", number, str(number)))
        return fault.value.message

    connector.meanwhile = slow
    clock.now += 1
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(ask, 7)
        assert listing.wait(10)
        clock.now += 1
        others = [pool.submit(ask, number) for number in range(8, 13)]
        go_on.set()
        assert {each.result(10) for each in [first, *others]} == {
            f"there is no job {number} named 2024-{number}" for number in range(7, 13)
        }
    assert connector.polls == 3


@pytest.mark.parametrize("live", [[RUNS], [ENDED]])
def test_an_id_with_another_name_is_not_found(live: list[JobStatus]) -> None:
    connector = FakeConnector(live)
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=Clock())
    with pytest.raises(NotFound, match="job 7 is not 2024-another"):
        tracker.find(JobRef("2024-another", 1, "7"))


def test_a_wrong_name_does_not_spoil_the_right_one() -> None:
    tracker, connector, _ = with_job_that_left(over=True)
    with pytest.raises(NotFound):
        tracker.find(JobRef("2024-another", 1, "7"))
    assert tracker.find(REF) == ENDED
    assert all(ends == ["7"] for ends in connector.asked_ends)


def test_ends_are_forgotten_after_a_while() -> None:
    tracker, connector, clock = with_job_that_left(over=True)
    tracker.find(REF)
    clock.now += 100
    tracker.snapshot()
    assert tracker.find(REF) == ENDED
    assert connector.asked_ends == [["7"], ["7"]]


def test_an_ended_job_that_is_sent_again_stays_ended() -> None:
    tracker, connector, clock = with_job_that_left(over=True)
    assert tracker.find(REF) == ENDED
    tracker.submitted(replace(RUNS, state="PENDING", phase=Phase.QUEUED))
    connector.over = []
    for _ in range(2):
        assert tracker.find(REF) == ENDED
        assert tracker.snapshot().in_phase(Phase.QUEUED) == []
        clock.now += 5


def test_ends_that_are_known_are_kept_when_others_are_not() -> None:
    other = replace(RUNS, job_id="10", name="2024-10")
    tracker, connector, clock = with_job_that_left(over=True)
    connector.live = [other]
    tracker.snapshot()
    clock.now += 5
    connector.live = []
    connector.ends_fault = Unavailable("accounting is away")
    with pytest.raises(Unavailable, match="accounting is away"):
        tracker.find(JobRef(other.name, 1, "10"))
    assert tracker.find(REF) == ENDED
    assert connector.asked_ends == [["10", "7"]]


def test_a_job_that_was_never_seen_is_not_denied_while_ends_cannot_be_known() -> None:
    connector = FakeConnector([], ends_fault=Unavailable("accounting is away"))
    tracker = Tracker(connector, interval=5, max_age=20, retention=60, clock=Clock())
    with pytest.raises(Unavailable, match="accounting is away"):
        tracker.find(REF)


def test_who_waits_while_another_job_cannot_be_settled_has_its_own_end() -> None:
    other = replace(RUNS, job_id="10", name="2024-10")
    tracker, connector, clock = with_job_that_left(over=True)
    connector.live = [other]
    tracker.snapshot()
    clock.now += 5
    connector.live = []
    connector.ends_fault = Unavailable("accounting is away")
    asked, go_on = threading.Event(), threading.Event()

    def slow(jobs: Sequence[JobStatus]) -> Ends:
        asked.set()
        go_on.wait(5)
        return FakeConnector.ended(connector, jobs)

    connector.ended = slow  # type: ignore[method-assign]  # one that takes its time
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(tracker.find, JobRef(other.name, 1, "10"))
        asked.wait(5)
        second = pool.submit(tracker.find, REF)
        eventually(second.running, seconds=5, what="the second one")
        go_on.set()
        assert second.result(5) == ENDED
        with pytest.raises(Unavailable, match="accounting is away"):
            first.result(5)


def test_an_id_that_slurm_gives_again_is_a_new_job() -> None:
    tracker, _, _ = with_job_that_left(over=True)
    assert tracker.find(REF) == ENDED
    new = replace(RUNS, name="2024-new")
    tracker.submitted(new)
    assert tracker.find(JobRef(new.name, 1, "7")) == new
