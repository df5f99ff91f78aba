"""Every name once, through slurmrestd: what is sent, looked for, settled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.connectors.slurm import sent_names
from pipeline.errors import (
    AccountRefused,
    InDoubt,
    NameTaken,
    NotAuthenticated,
    Unavailable,
)
from pipeline.identity import Owner
from pipeline.job import Sent
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.slurm.comments import comment
from tests.harness.fake_slurmrestd import (
    Answer,
    FakeSlurmrestd,
    cut_off_after,
    cut_off_before,
    error,
    instead,
    token,
)
from tests.harness.jobs import NAME, job
from tests.harness.waiting import eventually
from tests.unit.conftest import OverSlurmrestd

KIRBY = Owner("kirby", token=token("kirby"))
OTHER = NAME.replace("ABCDE", "FGHIJ")


def test_a_name_is_sent_once(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    submission = over_slurmrestd().submission
    assert [submission.submit(batch, KIRBY).job_id for _ in range(3)] == ["100"] * 3
    assert slurmrestd.submissions() == 1


def test_of_many_that_send_a_name_at_once_one_sends(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    submission = over_slurmrestd().submission
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: submission.submit(batch, KIRBY).job_id, range(16))) == {"100"}
    assert slurmrestd.submissions() == 1


def digested(batch: BatchScript, digest: str) -> BatchScript:
    """With content of this digest, as a form has it."""
    return replace(
        batch,
        digest=digest,
        text=batch.text.replace("#SBATCH", f"#SBATCH --comment=jarvice:{digest}\n#SBATCH", 1),
    )


def test_the_same_name_with_other_content_is_another_job(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    first, second = digested(batch, "aa"), digested(batch, "bb")
    submission = over_slurmrestd().submission
    submission.submit(first, KIRBY)
    for later in (submission, over_slurmrestd().submission):
        assert later.submit(first, KIRBY) == Sent("100", is_new=False)
        with pytest.raises(NameTaken, match="job 100 was submitted under it before, with other content"):
            later.submit(second, KIRBY)
    assert (slurmrestd.submissions(), slurmrestd.jobs[100].state) == (1, ["PENDING"])


def test_a_comment_of_the_jobs_own_tells_no_content(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    over_slurmrestd().submission.submit(replace(batch, digest="aa"), KIRBY)
    assert over_slurmrestd().submission.submit(replace(batch, digest="bb"), KIRBY) == Sent(
        "100", is_new=False
    )


def at_once(slurmrestd: FakeSlurmrestd, *sends: Callable[[], str]) -> list[str]:
    """What each of several downstreams answers, which have all looked for the name before one has sent it."""
    with ThreadPoolExecutor(len(sends)) as pool, slurmrestd.slow("POST job/submit") as go_on:
        answers = [pool.submit(send) for send in sends]
        eventually(lambda: slurmrestd.submissions() == len(sends), what="all requests")
        go_on.set()
        return [answer.result(20) for answer in answers]


def test_three_downstreams_that_send_a_name_at_once_give_one_job_and_one_id(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    replicas = [over_slurmrestd().submission for _ in range(3)]
    ids = at_once(slurmrestd, *(lambda each=each: each.submit(batch, KIRBY).job_id for each in replicas))
    assert ids == ["100"] * 3
    assert [job.state for _, job in sorted(slurmrestd.jobs.items())] == [
        ["PENDING"],
        ["CANCELLED"],
        ["CANCELLED"],
    ]
    assert {each.submit(batch, KIRBY).job_id for each in replicas} == {"100"}


def test_of_two_that_send_other_content_at_once_one_has_the_name(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    def send(content: str) -> str:
        try:
            return over_slurmrestd().submission.submit(digested(batch, content), KIRBY).job_id
        except NameTaken as fault:
            return fault.message[:26]

    answers = at_once(slurmrestd, lambda: send("aa"), lambda: send("bb"))
    assert sorted(answers) == ["100", "the name is taken: job 100"]
    assert (slurmrestd.jobs[100].state, slurmrestd.jobs[101].state) == (["PENDING"], ["CANCELLED"])


def test_what_a_downstream_left_that_was_killed_while_it_sent_is_ended(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    """Its request arrived after another downstream had sent the same name."""
    assert over_slurmrestd().submission.submit(batch, KIRBY).job_id == "100"
    slurmrestd.add(101, f"jarvice_{NAME}")
    assert over_slurmrestd().submission.submit(batch, KIRBY).job_id == "100"
    assert (slurmrestd.jobs[100].state, slurmrestd.jobs[101].state) == (["PENDING"], ["CANCELLED"])


def test_a_surplus_job_that_cannot_be_ended_is_no_fault_of_who_sends(
    over_slurmrestd: OverSlurmrestd,
    slurmrestd: FakeSlurmrestd,
    batch: BatchScript,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its batch script looks for the first one, and ends."""
    slurmrestd.add(7, f"jarvice_{NAME}")
    slurmrestd.add(8, f"jarvice_{NAME}")
    slurmrestd.faults["DELETE job/8"] = [instead(500, {"errors": []})]
    assert over_slurmrestd().submission.submit(batch, KIRBY).job_id == "7"
    assert "job 8 could not be ended" in caplog.text


@pytest.mark.parametrize(
    "another",
    [
        None,
        ("train", "mario", ""),
        (f"jarvice_{NAME}", "mario", "bb" * 16),
        (f"jarvice_{OTHER}", "kirby", "bb" * 16),
    ],
)
def test_a_job_that_a_killed_slurmctld_has_lost_is_sent_again(
    over_slurmrestd: OverSlurmrestd,
    slurmrestd: FakeSlurmrestd,
    batch: BatchScript,
    another: tuple[str, str, str] | None,
) -> None:
    """Its id may be another's by then."""

    def forget(do: Callable[[], Answer]) -> Answer:
        answer = do()
        slurmrestd.jobs.clear()
        if another:
            name, user, digest = another
            slurmrestd.add(100, name, user=user).comment = comment(digest) if digest else ""
        return answer

    slurmrestd.faults["POST job/submit"] = [forget]
    submission, batch = over_slurmrestd().submission, digested(batch, "aa" * 16)
    with pytest.raises(InDoubt, match="accepted the job as 100 and does not know it any more"):
        submission.submit(batch, KIRBY)
    found = submission.submit(batch, KIRBY).job_id
    assert slurmrestd.jobs[int(found)].name == batch.slurm_name
    assert submission.submit(batch, KIRBY).job_id == found
    assert slurmrestd.submissions() == 2
    assert slurmrestd.calls("DELETE") == []


def test_a_job_that_is_hidden_from_the_service_is_its_owners_word(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": [], "errors": []})] * 2
    assert over_slurmrestd().submission.submit(batch, KIRBY).job_id == "100"
    [asked] = slurmrestd.calls("GET job/100")
    assert asked.user == "kirby"


@pytest.mark.parametrize("change", [{"name": "ours"}, {"user": "Kirby"}, {"comment": "ours"}])
def test_a_job_that_slurm_or_the_site_calls_otherwise_is_sent_once(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript, change: dict[str, str]
) -> None:
    def rename(do: Callable[[], Answer]) -> Answer:
        answer = do()
        for what, value in change.items():
            setattr(slurmrestd.jobs[100], what, value)
        return answer

    slurmrestd.faults["POST job/submit"] = [rename]
    submission, batch = over_slurmrestd().submission, digested(batch, "aa" * 16)
    assert [submission.submit(batch, KIRBY).job_id for _ in range(2)] == ["100"] * 2


def test_a_job_that_cannot_be_told_from_another_is_in_doubt_for_a_while(
    over_slurmrestd: OverSlurmrestd,
    slurmrestd: FakeSlurmrestd,
    batch: BatchScript,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forget(do: Callable[[], Answer]) -> Answer:
        answer = do()
        slurmrestd.add(100, "train")
        return answer

    slurmrestd.faults["POST job/submit"] = [forget]
    submission = over_slurmrestd().submission
    for _ in range(2):
        with pytest.raises(InDoubt, match="still has it is not known: job 100 of kirby has another name"):
            submission.submit(batch, KIRBY)
    monkeypatch.setattr(sent_names, "_YOUNG", 0)
    assert submission.submit(batch, KIRBY).job_id == "100"
    assert slurmrestd.submissions() == 1


def test_a_slurmrestd_that_changes_its_versions_after_it_accepted_is_in_doubt(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": [], "errors": []})] * 3
    slurmrestd.faults["GET job/100"] = [instead(404, "Unable find requested URL.")]
    submission = over_slurmrestd().submission
    with pytest.raises(InDoubt, match="has changed its versions"):
        submission.submit(batch, KIRBY)
    assert submission.submit(batch, KIRBY).job_id == "100"


def test_other_names_and_other_users_are_other_jobs(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    submission = over_slurmrestd().submission
    other = Renderer(Settings()).batch_script(job(name=OTHER))
    mario = Owner("mario", token=token("mario"))
    ids = {submission.submit(each, owner).job_id for each in (batch, other) for owner in (KIRBY, mario)}
    assert len(ids) == 4


def test_a_refused_job_can_be_sent_again(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    refusal = error(2045, "Invalid account or account/partition combination specified", 422)
    slurmrestd.faults["POST job/submit"] = [instead(refusal.status, refusal.body)]
    submission = over_slurmrestd().submission
    with pytest.raises(AccountRefused, match="Invalid account"):
        submission.submit(batch, KIRBY)
    assert submission.submit(batch, KIRBY).job_id == "100"


def test_a_no_of_22_05_that_may_be_a_slurmctld_that_went_away_is_looked_into(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.versions = ["v0.0.38"]
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": [], "errors": []})] * 2
    zero_bytes = error(5005, "Zero Bytes were transmitted or received", 500)
    slurmrestd.faults["POST job/submit"] = [instead(zero_bytes.status, zero_bytes.body)]
    submission = over_slurmrestd().submission
    with pytest.raises(NotAuthenticated):
        submission.submit(batch, KIRBY)
    with pytest.raises(InDoubt, match="may still be under way"):
        submission.submit(batch, KIRBY)
    assert slurmrestd.submissions() == 1


LOST_ANSWERS = {
    "cut off": cut_off_after,
    "no JSON": lambda do: (do(), instead(502, "<html>Bad Gateway</html>")(do))[1],
    "slurmctld timed out": lambda do: (
        do(), instead(504, error(5004, "Socket timed out on send/recv operation", 504).body)(do),
    )[1],
}  # fmt: skip


@pytest.mark.parametrize("how", LOST_ANSWERS)
def test_a_job_whose_answer_was_lost_is_found_by_its_name(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript, how: str
) -> None:
    slurmrestd.faults["POST job/submit"] = [LOST_ANSWERS[how]]
    submission = over_slurmrestd().submission
    with pytest.raises(InDoubt, match=r"whether the job was accepted is not known yet$"):
        submission.submit(batch, KIRBY)
    assert [submission.submit(batch, KIRBY).job_id for _ in range(2)] == ["100", "100"]
    assert slurmrestd.submissions() == 1


def test_a_request_that_came_to_nothing_is_sent_again_once_that_is_settled(
    over_slurmrestd: OverSlurmrestd,
    slurmrestd: FakeSlurmrestd,
    batch: BatchScript,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slurmrestd.faults["POST job/submit"] = [cut_off_before]
    submission = over_slurmrestd().submission
    for _ in range(3):
        with pytest.raises(InDoubt):
            submission.submit(batch, KIRBY)
    assert slurmrestd.submissions() == 1
    monkeypatch.setattr(sent_names, "SETTLED_AFTER", 0)
    assert submission.submit(batch, KIRBY).job_id == "100"
    assert (slurmrestd.submissions(), len(slurmrestd.jobs)) == (2, 1)


def test_while_nobody_can_say_which_jobs_there_are_nothing_is_sent_again(
    over_slurmrestd: OverSlurmrestd,
    slurmrestd: FakeSlurmrestd,
    batch: BatchScript,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sent_names, "SETTLED_AFTER", 0)
    slurmrestd.faults["POST job/submit"] = [cut_off_after]
    submission = over_slurmrestd().submission
    with pytest.raises(Unavailable):
        submission.submit(batch, KIRBY)
    slurmrestd.faults["GET jobs/state"] = [instead(500, {"jobs": None, "errors": []})]
    with pytest.raises(Unavailable):
        submission.submit(batch, KIRBY)
    assert submission.submit(batch, KIRBY).job_id == "100"
    assert slurmrestd.submissions() == 1


def test_a_restarted_service_finds_what_its_predecessor_sent(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    assert over_slurmrestd().submission.submit(batch, KIRBY).job_id == "100"
    assert over_slurmrestd().submission.submit(batch, KIRBY).job_id == "100"
    assert slurmrestd.submissions() == 1


def test_the_portals_names_are_not_looked_for_in_accounting(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    over_slurmrestd().submission.submit(batch, KIRBY)
    assert slurmrestd.calls("GET slurmdb") == []
