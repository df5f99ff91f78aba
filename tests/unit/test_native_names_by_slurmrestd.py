"""Every name of a native job once, through slurmrestd: accounting is asked too."""

from __future__ import annotations

import pytest

from pipeline.errors import (
    DownstreamError,
    Unavailable,
)
from pipeline.identity import Owner
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
from tests.harness.jobs import NAME, native_job
from tests.unit.conftest import OverSlurmrestd

KIRBY = Owner("kirby", token=token("kirby"))


@pytest.fixture
def hello() -> BatchScript:
    return Renderer(Settings()).batch_script(native_job())


NATIVE = Settings().for_native_jobs().job_name_prefix


def ended(slurmrestd: FakeSlurmrestd, job_id: int, user: str = "kirby") -> None:
    """Have a native job that slurmctld has forgotten."""
    slurmrestd.accounting.append(FakeJob(job_id, f"{NATIVE}hello", user, ["COMPLETED"]))


def test_the_name_of_a_native_job_that_only_accounting_knows_is_not_sent_again(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, hello: BatchScript
) -> None:
    ended(slurmrestd, 7, "mario")
    ended(slurmrestd, 8)
    ended(slurmrestd, 9)  # it has run in vain: the first one had the name
    submission = over_slurmrestd(job_name_prefix=NATIVE).submission
    assert [submission.submit(hello, KIRBY) for _ in range(2)] == [Sent("8", is_new=False)] * 2
    assert slurmrestd.submissions() == 0
    slurmrestd.accounting.clear()
    ended(slurmrestd, 7, "mario")
    assert over_slurmrestd(job_name_prefix=NATIVE).submission.submit(hello, KIRBY) == Sent("100")


def test_who_submits_a_native_job_settles_what_became_of_a_lost_answer(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.faults["POST job/submit"] = [cut_off_after]
    slurmrestd.faults["GET jobs/state"] = [lambda do: do(), cut_off_before, cut_off_before, cut_off_before]
    told: list[DownstreamError] = []
    jobs = NativeJobs(Settings(poll_interval=0.1), over_slurmrestd(job_name_prefix=NATIVE))
    spec = {"name": "hello", "user": "kirby", "image": "/images/app.sif", "command": ["echo"]}
    sent = jobs.submit(spec, KIRBY.token, told.append)
    assert (sent.ref.job_id, sent.is_new) == ("100", True), "nobody else has sent it"
    assert slurmrestd.submissions() == 1
    [doubt] = told
    assert str(doubt).endswith("; whether the job was accepted is not known yet")


def test_while_accounting_does_not_answer_a_native_job_is_not_sent(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    away = error(7000, "Unable to connect to database", 503)
    slurmrestd.faults["GET slurmdb/jobs"] = [instead(away.status, away.body)]
    submission = over_slurmrestd(job_name_prefix=NATIVE).submission
    with pytest.raises(Unavailable, match="Unable to connect to database"):
        submission.submit(batch, KIRBY)
    assert slurmrestd.submissions() == 0
    assert submission.submit(batch, KIRBY) == Sent("100")


def test_on_a_cluster_without_accounting_native_jobs_are_sent(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.faults["GET slurmdb/jobs"] = [instead(404, "Unable find requested URL.")] * 2
    connector = over_slurmrestd(job_name_prefix=NATIVE)
    assert connector.management.search(NAME) == []
    assert connector.submission.submit(batch, KIRBY) == Sent("100")
