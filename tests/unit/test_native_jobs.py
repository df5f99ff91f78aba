"""The use cases of native jobs: found by name or id, watched, followed, ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from pipeline.connectors import Connector
from pipeline.errors import (
    DownstreamError,
    InDoubt,
    InvalidJob,
    InvalidRequest,
    NotFound,
    OutOfReach,
    Unavailable,
)
from pipeline.job import JobRef, JobStatus, Phase
from pipeline.native import NativeJobs, Submitted
from pipeline.settings import Settings
from tests.harness.fake_connector import Clock, FakeConnector

SPEC = {"name": "hello", "user": "kirby", "image": "/images/app.sif", "command": ["echo"]}
REF = JobRef("hello", 0, "7")
WAITS = JobStatus("hello", "7", "kirby", "PENDING", Phase.QUEUED)
RUNS = replace(WAITS, state="RUNNING", phase=Phase.RUNNING, nodes=("n1",))
FAILED = replace(RUNS, state="FAILED", phase=Phase.ENDED)
DOWN = Unavailable("slurmctld does not answer")
DOUBT = InDoubt("is it there?")


@dataclass
class Site:
    """A cluster whose state changes with every pause of who waits."""

    cluster: FakeConnector = field(default_factory=FakeConnector)
    clock: Clock = field(default_factory=Clock)
    next: list[Callable[[], None]] = field(default_factory=list)
    told: list[DownstreamError] = field(default_factory=list)

    def __post_init__(self) -> None:
        connector = Connector(self.cluster, self.cluster)
        self.jobs = NativeJobs(Settings(), connector, clock=self.clock, sleep=self._pause)

    def _pause(self, seconds: float) -> None:
        self.clock.now += seconds
        if self.next:
            self.next.pop(0)()

    def submitted(self, **changes: object) -> Submitted:
        return self.jobs.submit({**SPEC, **changes}, "the token", self.told.append)

    def goes_through(self, *states: JobStatus) -> None:
        """Have the job in the first state, and in the others after a pause each."""

        def become(state: JobStatus) -> Callable[[], None]:
            return lambda: setattr(self.cluster, "live", [state])

        become(states[0])()
        self.next = [become(state) for state in states[1:]]

    def watched(self) -> list[str]:
        return [job.state for job in self.jobs.watch(REF, self.told.append)]

    def followed(self, job: JobStatus, lines: int = 0) -> list[bytes]:
        return [piece for _, piece in self.jobs.follow(job, lines, self.told.append) if piece]


@pytest.fixture
def site() -> Site:
    return Site()


# ---- submit ----


def test_a_spec_is_sent_as_its_user(site: Site) -> None:
    sent = site.submitted()
    assert (sent.ref, sent.user, sent.is_new) == (REF, "kirby", True)
    assert site.cluster.submitted[0].slurm_name == "jarvice_:hello"
    assert site.jobs.find("hello") == WAITS, "before squeue shows it"
    assert not site.submitted().is_new
    assert site.told == []


def test_a_spec_with_a_fault_is_not_sent(site: Site) -> None:
    with pytest.raises(InvalidJob, match="nodes"):
        site.submitted(nodes=0)
    assert site.cluster.submitted == []


def test_a_submission_in_doubt_is_asked_about_until_it_is_settled_and_that_is_told_once(site: Site) -> None:
    site.cluster.submission_faults = [DOUBT, DOWN, DOUBT, DOUBT]
    assert site.submitted().ref == REF
    assert [str(fault) for fault in site.told] == ["is it there?"]
    assert site.cluster.submission_faults == []


def test_a_doubt_that_lasts_is_told_to_be_settled_by_asking_again(site: Site) -> None:
    site.cluster.submission_faults = [DOUBT] * 10_000
    with pytest.raises(InDoubt) as fault:
        site.submitted()
    assert fault.value.worth_trying_again
    assert 600 < site.clock.now - 1000 < 700


def test_before_anything_was_sent_nothing_is_asked_again(site: Site) -> None:
    site.cluster.submission_faults = [DOWN, DOWN]
    with pytest.raises(Unavailable, match="slurmctld does not answer"):
        site.submitted()
    assert (len(site.cluster.submission_faults), site.told) == (1, [])


# ---- find ----


def test_a_job_is_found_by_its_name_and_by_its_id(site: Site) -> None:
    site.cluster.live = [RUNS, replace(RUNS, name="other", job_id="8")]
    assert site.jobs.find("hello") == site.jobs.find("7") == RUNS
    assert [job.job_id for job in site.jobs.all()] == ["7", "8"]


def test_an_ended_job_has_its_exit_code(site: Site) -> None:
    site.cluster.live = [FAILED]
    site.cluster.exit_codes = {"7": 3}
    assert site.jobs.find("hello").exit_code == 3
    assert [job.exit_code for job in site.jobs.all()] == [3]


def test_a_job_that_has_left_the_queue_is_searched(site: Site) -> None:
    site.cluster.over = [replace(FAILED, exit_code=3)]
    assert site.jobs.find("hello").exit_code == 3
    assert site.jobs.find("7").exit_code == 3


def test_of_a_users_jobs_of_one_name_the_live_one_counts_or_the_last(site: Site) -> None:
    site.cluster.live = [FAILED, RUNS, replace(FAILED, job_id="10")]
    assert site.jobs.find("hello") == RUNS
    site = Site(FakeConnector([FAILED, replace(FAILED, job_id="10")]))
    assert site.jobs.find("hello").job_id == "10"


def test_a_name_of_several_users_is_told_with_the_ids(site: Site) -> None:
    site.cluster.live = [RUNS, replace(RUNS, job_id="8", owner="mario")]
    with pytest.raises(InvalidRequest, match=r"job hello: 7 \(kirby\), 8 \(mario\); say the id or the user"):
        site.jobs.find("hello")
    assert site.jobs.find("8").owner == "mario"


@pytest.mark.parametrize("wanted", ["hullo", "8", "x"])
def test_a_job_that_is_not_there(site: Site, wanted: str) -> None:
    site.cluster.live = [RUNS]
    with pytest.raises(NotFound, match=f"there is no native job {wanted}") as fault:
        site.jobs.find(wanted)
    assert fault.value.message.endswith("did you mean hello?") == (wanted == "hullo")


@pytest.mark.parametrize("wanted", ["", "a b", "-x", "7x", "a,b", "--help", "a:b", "12345678901", "é"])
def test_what_is_neither_name_nor_id_is_not_asked_for(site: Site, wanted: str) -> None:
    with pytest.raises(InvalidRequest, match="is neither a job's name nor its id"):
        site.jobs.find(wanted)
    assert site.cluster.polls == 0


# ---- watch ----


def test_a_job_is_watched_to_its_end(site: Site) -> None:
    site.goes_through(WAITS, WAITS, RUNS, RUNS, RUNS, FAILED)
    site.cluster.exit_codes = {"7": 3}
    seen = list(site.jobs.watch(REF, site.told.append))
    assert [(job.state, job.exit_code) for job in seen[:2]] == [("PENDING", 3), ("RUNNING", 3)]
    assert (seen[-1].state, seen[-1].exit_code) == ("FAILED", 3)
    assert site.told == []


def test_why_a_job_waits_is_told_when_it_changes_but_waiting_for_a_turn_is_no_news(site: Site) -> None:
    reasons = ["", "Priority", "Resources", "JobHeldUser", "JobHeldUser", "Priority", "", "Dependency"]
    site.goes_through(*(replace(WAITS, reason=reason) for reason in reasons), RUNS, FAILED)
    seen = [(job.state, job.reason) for job in site.jobs.watch(REF, site.told.append)]
    assert seen == [
        ("PENDING", ""), ("PENDING", "JobHeldUser"), ("PENDING", "Priority"), ("PENDING", "Dependency"),
        ("RUNNING", ""), ("FAILED", ""),
    ]  # fmt: skip


def test_a_job_whose_end_was_missed_is_settled(site: Site) -> None:
    site.goes_through(RUNS)
    site.next = [lambda: setattr(site.cluster, "live", [])]
    site.cluster.over = [FAILED]
    assert site.watched() == ["RUNNING", "FAILED"]


def test_a_cluster_that_does_not_answer_is_asked_again_and_that_is_told_once(site: Site) -> None:
    site.goes_through(RUNS)

    def up() -> None:
        site.cluster.fault, site.cluster.live = None, [FAILED]

    def nothing() -> None:
        return

    site.next = [lambda: setattr(site.cluster, "fault", DOWN), nothing, nothing, nothing, up]
    assert site.watched() == ["RUNNING", "FAILED"]
    assert [str(fault) for fault in site.told] == [str(DOWN)]


def test_a_cluster_that_stays_away_is_given_up(site: Site) -> None:
    site.goes_through(RUNS)
    site.next = [lambda: setattr(site.cluster, "fault", DOWN)]
    with pytest.raises(Unavailable, match="slurmctld does not answer"):
        site.watched()
    assert 600 < site.clock.now - 1000 < 700


def test_a_job_that_was_never_there_is_not_waited_for(site: Site) -> None:
    with pytest.raises(NotFound):
        site.watched()


# ---- output ----


def test_the_output_of_a_job(site: Site) -> None:
    assert site.jobs.output(RUNS, 0) == b"the output\n"
    site.cluster.output_bytes = None
    with pytest.raises(Unavailable, match=r"^hello is RUNNING: it has no output yet$"):
        site.jobs.output(RUNS, 0)
    with pytest.raises(NotFound, match=r"^hello is FAILED: it has no output$"):
        site.jobs.output(FAILED, 0)


def test_output_is_followed_until_the_job_has_ended_and_all_was_given(site: Site) -> None:
    site.goes_through(WAITS)
    site.cluster.output_bytes = None
    output = b"".join(b"line %d\n" % number for number in range(500))

    def put_out(upto: int, state: JobStatus) -> Callable[[], None]:
        def happen() -> None:
            site.cluster.output_bytes, site.cluster.live = output[:upto], [state]
            site.clock.now += 10

        return happen

    site.next = [
        put_out(0, RUNS),
        put_out(7, RUNS),
        put_out(7, RUNS),
        put_out(3500, RUNS),
        put_out(4890, FAILED),
    ]
    pieces = site.followed(WAITS)
    assert b"".join(pieces) == output == site.cluster.output_bytes
    assert pieces[0] == b"line 0\n"
    assert max(map(len, pieces)) == 1000


def test_of_a_job_that_is_started_again_all_is_given(site: Site) -> None:
    site.goes_through(RUNS, FAILED)
    site.cluster.output_bytes = b"first run, long\n"
    again = site.next.pop()

    def restart() -> None:
        again()
        site.cluster.output_bytes = b"second run\n"
        site.clock.now += 10

    site.next = [restart]
    assert site.followed(RUNS) == [b"first run, long\n", b"second run\n"]


@pytest.mark.parametrize("whole", [b"one\ntwo\nthree\n", b"one\ntwo\nthree"])
@pytest.mark.parametrize("piece", [4, 1000])
def test_output_is_followed_from_its_last_lines(site: Site, whole: bytes, piece: int) -> None:
    site.goes_through(FAILED)
    site.cluster.output_bytes, site.cluster.piece_bytes = whole, piece
    assert b"".join(site.followed(FAILED, 2)) == whole[4:]
    assert b"".join(site.followed(FAILED, 9)) == whole
    site.cluster.output_bytes = None
    assert site.followed(FAILED, 2) == []


def test_output_that_cannot_be_read_now_is_asked_for_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.goes_through(FAILED)
    read = site.cluster.output_from
    faults = [DOWN, DOWN]

    def flaky(job: JobStatus, offset: int) -> object:
        if faults:
            raise faults.pop()
        return read(job, offset)

    monkeypatch.setattr(site.cluster, "output_from", flaky)
    assert site.followed(FAILED) == [b"the output\n"]
    assert site.told == [DOWN]


# ---- cancel and release ----


def test_a_job_is_ended_and_an_ended_one_left_as_it_is(site: Site) -> None:
    assert site.jobs.cancel(WAITS)
    assert site.jobs.cancel(RUNS)
    assert not site.jobs.cancel(FAILED)
    assert site.cluster.terminated == ["7", "7"]
    assert site.cluster.removed == []


def test_a_job_that_is_ended_before_it_has_read_its_logins_leaves_none(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for job in (WAITS, replace(RUNS, job_id="8"), replace(FAILED, job_id="9")):
        site.jobs.cancel(job)
    assert site.cluster.removed_logins == ["7"]
    site.cluster.removal_fault = OutOfReach("the key is not accepted")
    assert caplog.messages == []
    assert site.jobs.cancel(WAITS), "it is cancelled all the same"
    [told] = caplog.messages
    assert told == "hello is cancelled; its registry logins are still on the cluster: the key is not accepted"


def test_a_job_that_waits_is_released(site: Site) -> None:
    site.jobs.release(WAITS)
    for job in (RUNS, FAILED):
        with pytest.raises(InvalidRequest, match=f"hello is {job.state}: it does not wait"):
            site.jobs.release(job)
    assert site.cluster.released == ["7"]
