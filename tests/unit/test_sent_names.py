"""No name is sent twice: what was sent, what was cut off, and what an earlier service had sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.connectors.slurm import sent_names
from pipeline.connectors.slurm.sent_names import SETTLED_AFTER, IsThere, Known, SentNames
from pipeline.errors import InDoubt, NotAuthenticated, NotFound, Unavailable
from pipeline.job import JobStatus, Phase
from tests.harness.fake_connector import Clock


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

    def jobs_of(self, owner: str, name: str) -> list[JobStatus]:
        self.looks += 1
        self.clock.now += self.meanwhile
        if self.fault:
            raise self.fault
        return [job for job in self.live if (job.owner, job.name) == (owner, name)]

    def answers(self) -> None:
        if self.slurmrestd_is_away:
            raise Unavailable("slurmrestd is away")

    def names(self, clock: Clock | None = None) -> SentNames:
        return SentNames(self.jobs_of, self.answers, clock or Clock())


def live(name: str, job_id: str, owner: str = "kirby") -> JobStatus:
    return JobStatus(name, job_id, owner, "PENDING", Phase.QUEUED)


def there(job_id: str) -> bool:
    return True


def another(job_id: str) -> bool:
    return False


def gone(job_id: str) -> bool:
    raise NotFound("there is no such job")


def refused(job_id: str) -> bool:
    raise NotAuthenticated("the token has expired")


def known(names: SentNames, name: str, owner: str = "kirby", *, is_there: IsThere = there) -> str | None:
    with names.turn(owner, name, is_there) as job:
        return job.job_id if job else None


def accepted(names: SentNames, name: str, job: Known, *, is_there: IsThere = there) -> Known:
    return names.sent("kirby", name, job, is_there)


def test_a_name_that_was_sent_has_its_id() -> None:
    names = Cluster().names()
    assert known(names, "a") is None
    accepted(names, "a", Known("7"))
    assert known(names, "a") == "7"
    assert known(names, "b") is None
    assert known(names, "a", "mario") is None


def test_a_name_that_is_not_known_here_is_looked_for_each_time() -> None:
    """Another downstream may have sent it a moment ago."""
    cluster = Cluster(live("a", "7"), live("b", "8", "mario"))
    names = cluster.names()
    assert [known(names, "a"), known(names, "b", "mario"), known(names, "b")] == ["7", "8", None]
    cluster.live.append(live("b", "9"))
    assert known(names, "b") == "9"
    looks = cluster.looks
    assert known(names, "b") == "9"
    assert cluster.looks == looks, "it is known by now"


def test_what_slurm_keeps_of_a_job_that_it_refused_is_no_job_of_the_name() -> None:
    refused = JobStatus("a", "7", "kirby", "FAILED", Phase.ENDED)
    failed = JobStatus("b", "8", "kirby", "FAILED", Phase.ENDED, 1, ("n1",))
    names = Cluster(refused, failed).names()
    assert [known(names, "a"), known(names, "b")] == [None, "8"]


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


def test_of_two_jobs_of_a_name_the_first_has_it() -> None:
    refused = JobStatus("a", "7", "kirby", "FAILED", Phase.ENDED)
    assert known(Cluster(refused, live("a", "10"), live("a", "9")).names(), "a") == "9"
    over = JobStatus("a", "8", "kirby", "COMPLETED", Phase.ENDED, 1, ("n1",))
    assert known(Cluster(live("a", "10"), over).names(), "a") == "8"


@pytest.mark.parametrize("seen", [[], [live("a", "7")]])
def test_a_job_that_nobody_else_has_sent_is_the_first(seen: list[JobStatus]) -> None:
    """Also where Slurm hides it from who looks."""
    cluster = Cluster()
    names = cluster.names()
    assert known(names, "a") is None
    cluster.live = seen
    assert accepted(names, "a", Known("7", "digest")) == Known("7", "digest")
    assert names.surplus() == set()


def test_a_job_that_another_downstream_has_sent_before_is_the_first_and_ours_is_ended() -> None:
    cluster = Cluster()
    names = cluster.names()
    assert known(names, "a") is None
    cluster.live = [live("a", "8"), replace(live("a", "7"), digest="theirs")]
    assert accepted(names, "a", Known("8", "ours")) == Known("7", "theirs")
    assert names.surplus() == {"8"}
    assert names.surplus() == set()
    assert known(names, "a") == "7"


@pytest.mark.parametrize("is_there", [gone, another])
def test_a_job_that_slurm_has_lost_leaves_its_name_free(is_there: IsThere) -> None:
    """A killed slurmctld forgets what it has not written down."""
    names = Cluster().names()
    assert known(names, "a") is None
    with pytest.raises(InDoubt, match="accepted the job as 7 and does not know it any more"):
        accepted(names, "a", Known("7"), is_there=is_there)
    assert known(names, "a") is None
    assert accepted(names, "a", Known("7")) == Known("7")


@pytest.mark.parametrize(
    ("is_there", "later", "found"),
    [(gone, 59, None), (gone, 61, "7"), (another, 600, None), (refused, 61, "7"), (there, 59, "7")],
)
def test_a_job_of_which_slurm_could_not_be_asked_at_first_is_asked_for_later(
    is_there: IsThere, later: float, found: str | None
) -> None:
    """After a while one that is gone has run, and is forgotten as all are."""
    cluster, clock = Cluster(), Clock()
    names = cluster.names(clock)
    assert known(names, "a") is None
    cluster.fault = Unavailable("away")
    with pytest.raises(InDoubt):
        accepted(names, "a", Known("7"))
    cluster.fault = None
    with pytest.raises(InDoubt, match="accepted; whether slurmctld still has it is not known"):
        known(names, "a", is_there=refused)
    clock.now += later
    assert known(names, "a", is_there=is_there) == found


def test_a_job_that_is_not_seen_any_more_is_not_ended_by_its_id() -> None:
    """The id may be another user's job by now."""
    cluster = Cluster()
    names = cluster.names()
    assert known(names, "a") is None
    cluster.live = [live("a", "9"), live("b", "7", "mario")]
    assert accepted(names, "a", Known("7"), is_there=another) == Known("9")
    assert names.surplus() == set()


def test_a_job_that_waits_after_one_of_its_name_that_has_ended_is_surplus_where_it_is_ours() -> None:
    over = JobStatus("a", "7", "kirby", "COMPLETED", Phase.ENDED, 1, ("n1",))
    cluster = Cluster()
    names = cluster.names()
    assert known(names, "a") is None
    cluster.live = [over, live("a", "8")]
    assert accepted(names, "a", Known("8")) == Known("7")
    assert names.surplus() == {"8"}


def test_a_job_that_another_downstream_has_sent_after_ours_is_ended_by_it_or_by_us() -> None:
    cluster = Cluster(live("a", "8"), live("a", "7"), live("b", "9"), live("a", "10", "mario"))
    names = cluster.names()
    assert known(names, "a") == "7"
    assert names.surplus() == {"8"}


def test_a_job_that_has_ended_is_followed_by_one_of_its_name() -> None:
    """As with ``cli``, where a name is free again without its control folder: it is not ours to end."""
    over = JobStatus("a", "7", "kirby", "COMPLETED", Phase.ENDED, 1, ("n1",))
    names = Cluster(over, live("a", "8")).names()
    assert known(names, "a") == "7"
    assert names.surplus() == set()


@pytest.mark.parametrize("found", ["7", "8"])
def test_while_nobody_can_say_who_was_first_that_is_in_doubt(found: str) -> None:
    cluster = Cluster()
    names = cluster.names()
    assert known(names, "a") is None
    cluster.fault = Unavailable("away")
    with pytest.raises(InDoubt, match=r"the job was accepted; .*: away"):
        accepted(names, "a", Known("8"))
    with pytest.raises(Unavailable, match="away"):
        known(names, "a")
    cluster.fault, cluster.live = None, [live("a", "8"), live("a", found)][-len({"8", found}) :]
    assert known(names, "a") == found
    assert names.surplus() == ({"8"} - {found})


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
        with names.turn("kirby", "a", there):
            waits = pool.submit(known, names, "a")
            assert pool.submit(known, names, "b").result(5) is None
            assert not waits.done()
            accepted(names, "a", Known("7"))
        assert waits.result(5) == "7"


def test_a_turn_that_fails_is_given_up() -> None:
    names = Cluster().names()
    with pytest.raises(Unavailable), names.turn("kirby", "a", there):
        raise Unavailable("no")
    assert known(names, "a") is None


def test_only_the_last_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_names, "_MOST", 3)
    names = Cluster().names()
    known(names, "a")
    for number in range(5):
        accepted(names, str(number), Known(str(number)))
    assert [known(names, str(number)) for number in range(5)] == [None, None, "2", "3", "4"]
