"""Submitting through slurmrestd: which version, whose token, and every name once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from pipeline.connectors import Connector
from pipeline.connectors.slurm import sent_names
from pipeline.connectors.slurm.choice import by_slurmrestd
from pipeline.errors import (
    AccountRefused,
    DownstreamError,
    InDoubt,
    InvalidJob,
    InvalidRequest,
    NameTaken,
    NotAllowed,
    NotAuthenticated,
    SettingsFault,
    Unavailable,
)
from pipeline.identity import Owner, unverified
from pipeline.job import Sent
from pipeline.native import NativeJobs
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from tests.harness.fake_slurmrestd import (
    FakeJob,
    FakeSlurmrestd,
    cut_off_after,
    cut_off_before,
    error,
    instead,
    token,
)
from tests.harness.jobs import NAME, job, native_job
from tests.harness.service import free_port
from tests.harness.waiting import eventually

KIRBY = Owner("kirby", token=token("kirby"))
FORGED = jwt.encode({"sun": "kirby"}, "x" * 32, algorithm="HS256")
OTHER = NAME.replace("ABCDE", "FGHIJ")

Connect = Callable[..., Connector]


@pytest.fixture
def connect(slurmrestd: FakeSlurmrestd, tmp_path: Path) -> Iterator[Connect]:
    """Makes connectors that need no SSH; a test changes their settings."""
    made: list[Connector] = []

    def make(**changes: Any) -> Connector:
        settings = slurmrestd.settings(tmp_path)
        made.append(by_slurmrestd(replace(settings, **({"command_timeout": 5} | changes))))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def batch() -> BatchScript:
    return Renderer(Settings()).batch_script(job())


def submissions(slurmrestd: FakeSlurmrestd) -> int:
    return len(slurmrestd.calls("POST job/submit"))


# ---- whose job ----


def test_a_job_is_sent_as_its_owner(connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript) -> None:
    assert connect().submission.submit(batch, KIRBY).job_id == "100"
    [sent] = slurmrestd.calls("POST job/submit")
    assert (sent.user, sent.version) == ("kirby", "v0.0.42")
    assert sent.document["script"] == batch.text
    assert sent.document["job"]["name"] == f"jarvice_{NAME}"
    assert sent.document["job"]["current_working_directory"] == "/home/kirby"
    assert sent.headers["x-slurm-user-token"] == KIRBY.token
    assert "x-slurm-user-name" not in sent.headers


def test_slurmrestd_of_22_05_wants_the_name_beside_the_token(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.versions = ["v0.0.37", "v0.0.38"]
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": [], "errors": []})]
    connect().submission.submit(batch, KIRBY)
    [sent] = slurmrestd.calls("POST job/submit")
    assert (sent.version, sent.headers["x-slurm-user-name"]) == ("v0.0.38", "kirby")


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"sun": "kirby"}, "kirby"),
        ({"preferred_username": "kirby"}, "kirby"),
        ({"sun": "kirby", "preferred_username": "kirby.of.the.stars"}, "kirby"),
        ({"sun": "", "preferred_username": "kirby"}, "kirby"),
    ],
)
def test_the_owner_is_who_the_token_names(connect: Connect, claims: dict[str, Any], user: str) -> None:
    bearer = token("", claim="unused", **claims)
    assert connect().submission.owner_of(unverified(f"Bearer {bearer}")) == Owner(user, token=bearer)


def test_nobodys_token_makes_root_the_owner_of_a_job(connect: Connect) -> None:
    bearer = unverified(token("root", claim="preferred_username"))
    with pytest.raises(NotAllowed, match="the token names root, and nobody's jobs run as root"):
        connect().submission.owner_of(bearer)


def test_a_native_job_is_its_users_whom_the_token_has_to_name(connect: Connect) -> None:
    submission = connect().submission
    assert submission.owner_named("kirby", KIRBY.token) == KIRBY
    with pytest.raises(NotAllowed, match="SLURM_JWT is a token of kirby, and the job's user is mario"):
        submission.owner_named("mario", KIRBY.token)
    with pytest.raises(NotAuthenticated, match="SLURM_JWT is not set: "):
        submission.owner_named("kirby", "")
    with pytest.raises(InvalidRequest, match="SLURM_JWT: is not a JSON Web Token"):
        submission.owner_named("kirby", "nonsense")


def test_a_site_names_its_own_claim(connect: Connect) -> None:
    submission = connect(slurmrestd_user_claim=("uid",)).submission
    assert submission.owner_of(unverified(token("kirby", claim="uid", sun="mario"))).user == "kirby"
    with pytest.raises(NotAllowed, match=r"no claim uid,.*JARVICE_SLURMRESTD_USER_CLAIM"):
        submission.owner_of(unverified(token("kirby")))


def test_an_expired_token_is_told_with_its_time(connect: Connect, batch: BatchScript) -> None:
    owner = Owner("kirby", token=token("kirby", exp=1_700_000_000))
    with pytest.raises(
        NotAuthenticated, match=r"Protocol authentication error; .*expired at 2023-11-14T22:13:20Z"
    ) as fault:
        connect().submission.submit(batch, owner)
    assert owner.token not in fault.value.message


def test_a_token_that_is_not_taken_for_another_reason(connect: Connect, batch: BatchScript) -> None:
    with pytest.raises(NotAuthenticated) as fault:
        connect().submission.submit(batch, Owner("kirby", token=FORGED))
    assert "expired" not in fault.value.message


# ---- which version ----


def test_the_newest_version_that_both_know_is_spoken(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.versions = ["v0.0.39", "v0.0.43", "v0.0.41", "v0.0.99"]
    connect().submission.submit(batch, KIRBY)
    assert {asked.version for asked in slurmrestd.asked if asked.what != "GET ping"} == {"v0.0.43"}


def test_a_version_that_is_set_is_spoken(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connect(slurmrestd_api_version="v0.0.40").submission.submit(batch, KIRBY)
    assert {asked.version for asked in slurmrestd.asked} == {"v0.0.40"}


def test_a_version_that_is_set_and_not_served_is_told_with_those_that_are(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connector = connect(slurmrestd_api_version="v0.0.45")
    for ask in (connector.check, lambda: connector.submission.submit(batch, KIRBY)):
        with pytest.raises(
            Unavailable,
            match=r"JARVICE_SLURMRESTD_API_VERSION: .* v0\.0\.45; .*v0\.0\.42, v0\.0\.41, v0\.0\.40$",
        ):
            ask()
    assert submissions(slurmrestd) == 0


@pytest.mark.parametrize("served", [[], ["v0.0.99"]])
def test_a_server_without_any_version_of_ours_is_told(
    connect: Connect, slurmrestd: FakeSlurmrestd, served: list[str]
) -> None:
    slurmrestd.versions = served
    with pytest.raises(Unavailable, match=r"serves none of the API versions .*v0\.0\.38 to v0\.0\.45"):
        connect().check()


def test_a_version_that_nobody_speaks_stops_the_start(connect: Connect) -> None:
    with pytest.raises(SettingsFault, match=r"v0\.0\.36 is not one that this downstream speaks"):
        connect(slurmrestd_api_version="v0.0.36")


def test_after_an_upgrade_a_job_is_sent_once_in_the_new_version(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connector = connect()
    connector.check()
    slurmrestd.versions = ["v0.0.43", "v0.0.44"]
    with pytest.raises(Unavailable):  # the poll notices first
        connector.management.jobs()
    assert connector.submission.submit(batch, KIRBY).job_id == "100"
    assert [sent.version for sent in slurmrestd.calls("POST job/submit")] == ["v0.0.44"]
    assert len(slurmrestd.jobs) == 1


def test_an_upgrade_between_two_submissions_costs_one_try(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connector = connect()
    connector.submission.submit(batch, KIRBY)
    slurmrestd.versions = ["v0.0.44"]
    other = Renderer(Settings()).batch_script(job(name=OTHER))
    with pytest.raises(Unavailable, match="has changed its versions"):
        connector.submission.submit(other, KIRBY)
    assert connector.submission.submit(other, KIRBY).job_id == "101"
    assert [sent.version for sent in slurmrestd.calls("POST job/submit")] == ["v0.0.42", "v0.0.44"]


def test_a_server_that_is_not_there_is_told(connect: Connect) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{port}: .*refused"):
        connect(slurmrestd_port=port).check()


@pytest.mark.parametrize("status", [301, 429, 502, 503, 504])
def test_a_proxy_that_answers_in_its_place_is_not_slurmrestd(
    connect: Connect, slurmrestd: FakeSlurmrestd, status: int
) -> None:
    connector = connect()
    slurmrestd.faults["GET ping"] = [instead(status, "<html></html>")]
    with pytest.raises(Unavailable, match=f"HTTP {status} instead of slurmrestd's answer"):
        connector.check()
    connector.submission.check()
    slurmrestd.faults["GET ping"] = [instead(status, "<html></html>")]
    with pytest.raises(Unavailable, match=f"HTTP {status} instead of slurmrestd's answer"):
        connector.submission.check()


# ---- every name once ----


def test_a_name_is_sent_once(connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript) -> None:
    submission = connect().submission
    assert [submission.submit(batch, KIRBY).job_id for _ in range(3)] == ["100"] * 3
    assert submissions(slurmrestd) == 1


def test_of_many_that_send_a_name_at_once_one_sends(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    submission = connect().submission
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: submission.submit(batch, KIRBY).job_id, range(16))) == {"100"}
    assert submissions(slurmrestd) == 1


def digested(batch: BatchScript, digest: str) -> BatchScript:
    """With content of this digest, as a form has it."""
    return replace(
        batch,
        digest=digest,
        text=batch.text.replace("#SBATCH", f"#SBATCH --comment=jarvice:{digest}\n#SBATCH", 1),
    )


def test_the_same_name_with_other_content_is_another_job(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    first, second = digested(batch, "aa"), digested(batch, "bb")
    submission = connect().submission
    submission.submit(first, KIRBY)
    for later in (submission, connect().submission):
        assert later.submit(first, KIRBY) == Sent("100", is_new=False)
        with pytest.raises(NameTaken, match="job 100 was submitted under it before, with other content"):
            later.submit(second, KIRBY)
    assert (submissions(slurmrestd), slurmrestd.jobs[100].state) == (1, ["PENDING"])


def test_a_comment_of_the_jobs_own_tells_no_content(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connect().submission.submit(replace(batch, digest="aa"), KIRBY)
    assert connect().submission.submit(replace(batch, digest="bb"), KIRBY) == Sent("100", is_new=False)


def at_once(slurmrestd: FakeSlurmrestd, *sends: Callable[[], str]) -> list[str]:
    """What each of several downstreams answers, which have all looked for the name before one has sent it."""
    with ThreadPoolExecutor(len(sends)) as pool, slurmrestd.slow("POST job/submit") as go_on:
        answers = [pool.submit(send) for send in sends]
        eventually(lambda: submissions(slurmrestd) == len(sends), what="all requests")
        go_on.set()
        return [answer.result(20) for answer in answers]


def test_three_downstreams_that_send_a_name_at_once_give_one_job_and_one_id(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    replicas = [connect().submission for _ in range(3)]
    ids = at_once(slurmrestd, *(lambda each=each: each.submit(batch, KIRBY).job_id for each in replicas))
    assert ids == ["100"] * 3
    assert [job.state for _, job in sorted(slurmrestd.jobs.items())] == [
        ["PENDING"],
        ["CANCELLED"],
        ["CANCELLED"],
    ]
    assert {each.submit(batch, KIRBY).job_id for each in replicas} == {"100"}


def test_of_two_that_send_other_content_at_once_one_has_the_name(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    def send(content: str) -> str:
        try:
            return connect().submission.submit(digested(batch, content), KIRBY).job_id
        except NameTaken as fault:
            return fault.message[:26]

    answers = at_once(slurmrestd, lambda: send("aa"), lambda: send("bb"))
    assert sorted(answers) == ["100", "the name is taken: job 100"]
    assert (slurmrestd.jobs[100].state, slurmrestd.jobs[101].state) == (["PENDING"], ["CANCELLED"])


def test_what_a_downstream_left_that_was_killed_while_it_sent_is_ended(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    """Its request arrived after another downstream had sent the same name."""
    assert connect().submission.submit(batch, KIRBY).job_id == "100"
    slurmrestd.add(101, f"jarvice_{NAME}")
    assert connect().submission.submit(batch, KIRBY).job_id == "100"
    assert (slurmrestd.jobs[100].state, slurmrestd.jobs[101].state) == (["PENDING"], ["CANCELLED"])


def test_a_surplus_job_that_cannot_be_ended_is_no_fault_of_who_sends(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript, caplog: pytest.LogCaptureFixture
) -> None:
    """Its batch script looks for the first one, and ends."""
    slurmrestd.add(7, f"jarvice_{NAME}")
    slurmrestd.add(8, f"jarvice_{NAME}")
    slurmrestd.faults["DELETE job/8"] = [instead(500, {"errors": []})]
    assert connect().submission.submit(batch, KIRBY).job_id == "7"
    assert "job 8 could not be ended" in caplog.text


def test_other_names_and_other_users_are_other_jobs(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    submission = connect().submission
    other = Renderer(Settings()).batch_script(job(name=OTHER))
    mario = Owner("mario", token=token("mario"))
    ids = {submission.submit(each, owner).job_id for each in (batch, other) for owner in (KIRBY, mario)}
    assert len(ids) == 4


def test_a_refused_job_can_be_sent_again(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    refusal = error(2045, "Invalid account or account/partition combination specified", 422)
    slurmrestd.faults["POST job/submit"] = [instead(refusal.status, refusal.body)]
    submission = connect().submission
    with pytest.raises(AccountRefused, match="Invalid account"):
        submission.submit(batch, KIRBY)
    assert submission.submit(batch, KIRBY).job_id == "100"


def test_a_no_of_22_05_that_may_be_a_slurmctld_that_went_away_is_looked_into(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.versions = ["v0.0.38"]
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": [], "errors": []})] * 2
    zero_bytes = error(5005, "Zero Bytes were transmitted or received", 500)
    slurmrestd.faults["POST job/submit"] = [instead(zero_bytes.status, zero_bytes.body)]
    submission = connect().submission
    with pytest.raises(NotAuthenticated):
        submission.submit(batch, KIRBY)
    with pytest.raises(InDoubt, match="may still be under way"):
        submission.submit(batch, KIRBY)
    assert submissions(slurmrestd) == 1


LOST_ANSWERS = {
    "cut off": cut_off_after,
    "no JSON": lambda do: (do(), instead(502, "<html>Bad Gateway</html>")(do))[1],
    "slurmctld timed out": lambda do: (
        do(), instead(504, error(5004, "Socket timed out on send/recv operation", 504).body)(do),
    )[1],
}  # fmt: skip


@pytest.mark.parametrize("how", LOST_ANSWERS)
def test_a_job_whose_answer_was_lost_is_found_by_its_name(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript, how: str
) -> None:
    slurmrestd.faults["POST job/submit"] = [LOST_ANSWERS[how]]
    submission = connect().submission
    with pytest.raises(InDoubt, match=r"whether the job was accepted is not known yet$"):
        submission.submit(batch, KIRBY)
    assert [submission.submit(batch, KIRBY).job_id for _ in range(2)] == ["100", "100"]
    assert submissions(slurmrestd) == 1


def test_a_request_that_came_to_nothing_is_sent_again_once_that_is_settled(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurmrestd.faults["POST job/submit"] = [cut_off_before]
    submission = connect().submission
    for _ in range(3):
        with pytest.raises(InDoubt):
            submission.submit(batch, KIRBY)
    assert submissions(slurmrestd) == 1
    monkeypatch.setattr(sent_names, "SETTLED_AFTER", 0)
    assert submission.submit(batch, KIRBY).job_id == "100"
    assert (submissions(slurmrestd), len(slurmrestd.jobs)) == (2, 1)


def test_while_nobody_can_say_which_jobs_there_are_nothing_is_sent_again(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sent_names, "SETTLED_AFTER", 0)
    slurmrestd.faults["POST job/submit"] = [cut_off_after]
    submission = connect().submission
    with pytest.raises(Unavailable):
        submission.submit(batch, KIRBY)
    slurmrestd.faults["GET jobs/state"] = [instead(500, {"jobs": None, "errors": []})]
    with pytest.raises(Unavailable):
        submission.submit(batch, KIRBY)
    assert submission.submit(batch, KIRBY).job_id == "100"
    assert submissions(slurmrestd) == 1


def test_a_restarted_service_finds_what_its_predecessor_sent(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    assert connect().submission.submit(batch, KIRBY).job_id == "100"
    assert connect().submission.submit(batch, KIRBY).job_id == "100"
    assert submissions(slurmrestd) == 1


@pytest.fixture
def hello() -> BatchScript:
    return Renderer(Settings()).batch_script(native_job())


NATIVE = Settings().for_native_jobs().job_name_prefix


def ended(slurmrestd: FakeSlurmrestd, job_id: int, user: str = "kirby") -> None:
    """Have a native job that slurmctld has forgotten."""
    slurmrestd.accounting.append(FakeJob(job_id, f"{NATIVE}hello", user, ["COMPLETED"]))


def test_the_name_of_a_native_job_that_only_accounting_knows_is_not_sent_again(
    connect: Connect, slurmrestd: FakeSlurmrestd, hello: BatchScript
) -> None:
    ended(slurmrestd, 7, "mario")
    ended(slurmrestd, 8)
    ended(slurmrestd, 9)  # it has run in vain: the first one had the name
    submission = connect(job_name_prefix=NATIVE).submission
    assert [submission.submit(hello, KIRBY) for _ in range(2)] == [Sent("8", is_new=False)] * 2
    assert submissions(slurmrestd) == 0
    slurmrestd.accounting.clear()
    ended(slurmrestd, 7, "mario")
    assert connect(job_name_prefix=NATIVE).submission.submit(hello, KIRBY) == Sent("100")


def test_who_submits_a_native_job_settles_what_became_of_a_lost_answer(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.faults["POST job/submit"] = [cut_off_after]
    slurmrestd.faults["GET jobs/state"] = [lambda do: do(), cut_off_before, cut_off_before, cut_off_before]
    told: list[DownstreamError] = []
    jobs = NativeJobs(Settings(poll_interval=0.1), connect(job_name_prefix=NATIVE))
    spec = {"name": "hello", "user": "kirby", "image": "/images/app.sif", "command": ["echo"]}
    sent = jobs.submit(spec, KIRBY.token, told.append)
    assert (sent.ref.job_id, sent.is_new) == ("100", True), "nobody else has sent it"
    assert submissions(slurmrestd) == 1
    [doubt] = told
    assert str(doubt).endswith("; whether the job was accepted is not known yet")


def test_the_portals_names_are_not_looked_for_in_accounting(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connect().submission.submit(batch, KIRBY)
    assert slurmrestd.calls("GET slurmdb") == []


def test_while_accounting_does_not_answer_a_native_job_is_not_sent(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    away = error(7000, "Unable to connect to database", 503)
    slurmrestd.faults["GET slurmdb/jobs"] = [instead(away.status, away.body)]
    submission = connect(job_name_prefix=NATIVE).submission
    with pytest.raises(Unavailable, match="Unable to connect to database"):
        submission.submit(batch, KIRBY)
    assert submissions(slurmrestd) == 0
    assert submission.submit(batch, KIRBY) == Sent("100")


def test_on_a_cluster_without_accounting_native_jobs_are_sent(
    connect: Connect, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.faults["GET slurmdb/jobs"] = [instead(404, "Unable find requested URL.")] * 2
    connector = connect(job_name_prefix=NATIVE)
    assert connector.management.search(NAME) == []
    assert connector.submission.submit(batch, KIRBY) == Sent("100")


def test_a_job_that_this_version_has_no_field_for_is_not_sent(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    resources = replace(job().resources, sbatch_options={"resv-ports": "3"})
    batch = Renderer(Settings()).batch_script(job(resources=resources))
    with pytest.raises(InvalidJob, match="sbatch_resv-ports=3"):
        connect().submission.submit(batch, KIRBY)
    assert submissions(slurmrestd) == 0
