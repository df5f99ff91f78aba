"""No name is sent twice: what was sent, what was cut off, and what an earlier service had sent."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.connectors.slurm import sent_names
from pipeline.connectors.slurm.sent_names import SETTLED_AFTER, SentNames
from pipeline.errors import Unavailable
from pipeline.job import JobStatus, Phase
from tests.harness.fake_connector import Clock
from tests.harness.waiting import eventually


class Cluster:
    """What Slurm knows, and how often it was asked."""

    def __init__(self, *jobs: JobStatus) -> None:
        self.live = list(jobs)
        self.fault: Exception | None = None
        self.slurmrestd_is_away = False
        self.looks = 0
        self.clock = Clock()
        self.meanwhile = 0.0
        """Seconds that a look takes, on the clock."""

    def jobs(self) -> list[JobStatus]:
        self.looks += 1
        self.clock.now += self.meanwhile
        if self.fault:
            raise self.fault
        return list(self.live)

    def answers(self) -> None:
        if self.slurmrestd_is_away:
            raise Unavailable("slurmrestd is away")

    def names(self, clock: Clock | None = None) -> SentNames:
        return SentNames(self.jobs, self.answers, clock or Clock())


def live(name: str, job_id: str, owner: str = "kirby") -> JobStatus:
    return JobStatus(name, job_id, owner, "PENDING", Phase.QUEUED)


def known(names: SentNames, name: str, owner: str = "kirby") -> str | None:
    with names.turn(owner, name) as job_id:
        return job_id


def test_a_name_that_was_sent_has_its_id() -> None:
    names = Cluster().names()
    assert known(names, "a") is None
    names.sent("kirby", "a", "7")
    assert known(names, "a") == "7"
    assert known(names, "b") is None
    assert known(names, "a", "mario") is None


def test_before_the_first_name_slurm_is_asked_once_for_what_there_is() -> None:
    cluster = Cluster(live("a", "7"), live("b", "8", "mario"))
    names = cluster.names()
    assert [known(names, "a"), known(names, "b", "mario"), known(names, "b")] == ["7", "8", None]
    assert cluster.looks == 1


def test_what_slurm_keeps_of_a_job_that_it_refused_is_no_job_of_the_name() -> None:
    refused = JobStatus("a", "7", "kirby", "FAILED", Phase.ENDED)
    failed = JobStatus("b", "8", "kirby", "FAILED", Phase.ENDED, 1, ("n1",))
    names = Cluster(refused, failed).names()
    assert [known(names, "a"), known(names, "b")] == [None, "8"]


def test_of_many_that_begin_at_once_one_asks() -> None:
    cluster = Cluster(live("a", "7"))
    names = cluster.names()
    together = threading.Barrier(8)

    def ask(number: int) -> str | None:
        together.wait(10)
        return known(names, "a" if number == 0 else f"b{number}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["7", *[None] * 7]
    assert cluster.looks == 1


def test_while_slurm_does_not_answer_no_name_is_taken_for_new() -> None:
    cluster = Cluster(live("a", "7"))
    cluster.fault = Unavailable("away")
    names = cluster.names()
    for _ in range(2):
        with pytest.raises(Unavailable, match="away"):
            known(names, "a")
    cluster.fault = None
    assert known(names, "a") == "7"


def test_a_name_that_was_cut_off_is_looked_for() -> None:
    cluster = Cluster()
    names = cluster.names()
    known(names, "a")
    names.cut_off("kirby", "a")
    cluster.live = [live("a", "7")]
    assert known(names, "a") == "7"
    cluster.live = []
    assert known(names, "a") == "7"
    assert cluster.looks == 2


def test_a_name_that_was_cut_off_and_came_to_nothing_is_free_after_a_while() -> None:
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    known(names, "a")
    names.cut_off("kirby", "a")
    for _ in range(4):
        with pytest.raises(Unavailable, match=rf"settled {SETTLED_AFTER} s after slurmrestd answers again"):
            known(names, "a")
        clock.now += SETTLED_AFTER / 4
    assert known(names, "a") is None
    assert known(names, "b") is None


def test_what_waits_in_front_of_a_frozen_slurmrestd_is_waited_for() -> None:
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    known(names, "a")
    names.cut_off("kirby", "a")
    cluster.slurmrestd_is_away = True
    clock.now += 10 * SETTLED_AFTER
    with pytest.raises(Unavailable, match="away"):
        known(names, "a")
    cluster.slurmrestd_is_away = False
    with pytest.raises(Unavailable, match="may still be under way"):
        known(names, "a")
    cluster.live = [live("a", "7")]
    assert known(names, "a") == "7"


def test_a_look_that_took_long_settles_nothing() -> None:
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    known(names, "a")
    names.cut_off("kirby", "a")
    with pytest.raises(Unavailable):
        known(names, "a")
    cluster.meanwhile = SETTLED_AFTER
    cluster.clock = clock
    with pytest.raises(Unavailable):
        known(names, "a")


def test_a_service_that_has_just_begun_looks_for_what_its_predecessor_sent_last() -> None:
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    assert known(names, "a") is None
    cluster.live = [live("b", "8")]
    clock.now += 2
    assert known(names, "b") == "8"
    clock.now += SETTLED_AFTER
    known(names, "c")
    looks = cluster.looks
    clock.now += SETTLED_AFTER
    assert known(names, "d") is None
    assert cluster.looks == looks


def test_of_two_jobs_of_a_name_the_first_that_lives_has_it() -> None:
    over = JobStatus("a", "7", "kirby", "FAILED", Phase.ENDED)
    assert known(Cluster(over, live("a", "10"), live("a", "9")).names(), "a") == "9"


def test_a_name_is_not_free_while_slurm_does_not_answer() -> None:
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    known(names, "a")
    names.cut_off("kirby", "a")
    clock.now += SETTLED_AFTER
    cluster.fault = Unavailable("away")
    with pytest.raises(Unavailable, match="away"):
        known(names, "a")
    cluster.fault, cluster.live = None, [live("a", "7")]
    assert known(names, "a") == "7"


def test_a_second_cut_off_begins_the_time_anew() -> None:
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    for _ in range(2):
        assert known(names, "a") is None
        names.cut_off("kirby", "a")
        with pytest.raises(Unavailable):
            known(names, "a")
        clock.now += SETTLED_AFTER


def test_one_at_a_time_has_a_name_and_others_go_on() -> None:
    names = Cluster().names()
    known(names, "b")
    with ThreadPoolExecutor(2) as pool:
        with names.turn("kirby", "a"):
            waits = pool.submit(known, names, "a")
            assert pool.submit(known, names, "b").result(5) is None
            assert not waits.done()
            names.sent("kirby", "a", "7")
        assert waits.result(5) == "7"


def test_a_turn_that_fails_is_given_up() -> None:
    names = Cluster().names()
    with pytest.raises(Unavailable), names.turn("kirby", "a"):
        raise Unavailable("no")
    assert known(names, "a") is None


def test_only_the_last_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_names, "_MOST", 3)
    names = Cluster().names()
    known(names, "a")
    for number in range(5):
        names.sent("kirby", str(number), str(number))
    assert [known(names, str(number)) for number in range(5)] == [None, None, "2", "3", "4"]


def test_a_service_that_began_while_slurmrestd_was_frozen_waits_for_what_its_predecessor_sent() -> None:
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    cluster.slurmrestd_is_away = True
    for _ in range(3):
        with pytest.raises(Unavailable, match="away"):
            known(names, "a")
        clock.now += SETTLED_AFTER
    cluster.slurmrestd_is_away = False
    assert known(names, "b") is None
    cluster.live = [live("a", "7")]  # it thawed and carried out what had waited
    clock.now += SETTLED_AFTER / 2
    assert known(names, "a") == "7"


def test_many_names_wait_for_one_look_and_share_its_failure() -> None:
    cluster = Cluster()
    names = cluster.names()
    together = threading.Barrier(8)

    def slow_failure() -> list[JobStatus]:
        cluster.looks += 1
        eventually(lambda: len(waiting) == 8, what="all of them")
        raise Unavailable("away")

    waiting: list[int] = []
    cluster.jobs = slow_failure  # type: ignore[method-assign]  # one that takes its time
    names = cluster.names()

    def ask(number: int) -> str:
        together.wait(10)
        waiting.append(number)
        with pytest.raises(Unavailable) as fault:
            known(names, f"a{number}")
        return str(fault.value)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"away"}
    assert cluster.looks <= 2
