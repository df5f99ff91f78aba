"""Which jobs there are, through slurmrestd: what polls ask for, how often, and what it means."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.connectors.slurm import jobs_by_slurmrestd, together
from pipeline.errors import Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.settings import Settings
from tests.harness.fake_slurmrestd import Answer, FakeJob, FakeSlurmrestd, error, instead
from tests.harness.jobs import NAME
from tests.harness.waiting import eventually
from tests.unit.conftest import Manage

OURS = f"jarvice_{NAME}"
RAN = JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING)
COMPLETED = JobStatus(NAME, "7", "kirby", "COMPLETED", Phase.ENDED, 65, ("n1",), 0)


def read(slurmrestd: FakeSlurmrestd) -> list[str]:
    """Which single jobs were asked for since the last time."""
    found = sorted(asked.what for asked in slurmrestd.calls("GET job/"))
    slurmrestd.asked.clear()
    return found


def test_jobs_are_those_of_this_portal_asked_as_the_service(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.add(7, OURS, state="RUNNING")
    slurmrestd.add(8, OURS.replace("jarvice_", "other_"))
    slurmrestd.add(9, "interactive", user="mario")
    [found] = manage().jobs()
    assert replace(found, elapsed=0) == JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING, 0, ("n1",))
    assert found.elapsed > 1_000_000
    assert {asked.user for asked in slurmrestd.asked if asked.what != "GET ping"} == {"jarvice"}


def test_only_what_has_changed_is_read_again_and_never_the_list_of_all_jobs(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    management = manage()
    mine = slurmrestd.add(7, OURS)
    slurmrestd.add(8, f"{OURS}x", state="RUNNING")
    other = slurmrestd.add(9, "interactive")
    assert len(management.jobs()) == 2
    assert read(slurmrestd) == ["GET job/7", "GET job/8", "GET job/9"]
    for _ in range(3):
        assert len(management.jobs()) == 2
    assert [asked.what for asked in slurmrestd.asked] == ["GET jobs/state"] * 3
    read(slurmrestd)
    mine.state, other.state = ["RUNNING"], ["RUNNING"]
    assert [job.state for job in management.jobs()] == ["RUNNING", "RUNNING"]
    assert read(slurmrestd) == ["GET job/7"]
    slurmrestd.add(10, f"{OURS}y")
    assert len(management.jobs()) == 3
    assert read(slurmrestd) == ["GET job/10"]


def test_why_a_job_waits_is_asked_of_it_alone_whatever_polls_remember(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    management = manage()
    job = slurmrestd.add(7, OURS)
    [waits] = management.jobs()
    job.reason = "PartitionTimeLimit"
    assert [found.reason for found in management.jobs()] == [""]
    read(slurmrestd)
    assert management.reason(waits) == "PartitionTimeLimit"
    assert read(slurmrestd) == ["GET job/7"]
    job.state = ["RUNNING"]
    assert management.reason(waits) == "", "it waits no more"
    del slurmrestd.jobs[7]
    assert management.reason(waits) == "", "hidden or forgotten"


def test_a_job_that_slurmctld_has_forgotten_is_gone_and_its_id_may_come_again(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    management = manage()
    slurmrestd.add(7, "interactive")
    assert management.jobs() == []
    del slurmrestd.jobs[7]
    assert management.jobs() == []
    slurmrestd.add(7, OURS)
    assert [job.job_id for job in management.jobs()] == ["7"]


def test_a_job_that_is_hidden_from_the_service_is_none_of_ours(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.add(8, "theirs")
    slurmrestd.add(7, OURS)
    slurmrestd.faults["GET job/8"] = [instead(hidden.status, hidden.body)]
    assert [job.job_id for job in manage().jobs()] == ["7"]
    assert read(slurmrestd) == ["GET job/7", "GET job/8"]


def test_a_hidden_job_is_asked_for_again_and_seen_once_the_service_is_let_see_it(
    manage: Manage, slurmrestd: FakeSlurmrestd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_by_slurmrestd, "_HIDDEN_AGAIN", 2)
    hidden = error(2017, "Invalid job id specified", 404)
    for number in range(7, 12):
        slurmrestd.add(number, f"{OURS}{number}")
        slurmrestd.faults[f"GET job/{number}"] = [instead(hidden.status, hidden.body)] * 9
    management = manage()
    assert management.jobs() == []
    read(slurmrestd)
    asked: list[str] = []
    for _ in range(3):
        assert management.jobs() == []
        again = read(slurmrestd)
        assert len(again) == 2
        asked += again
    assert set(asked) == {f"GET job/{number}" for number in range(7, 12)}
    slurmrestd.faults.clear()
    assert [len(management.jobs()) for _ in range(3)] == [2, 4, 5]


def test_a_job_of_ours_that_is_hidden_for_once_is_not_lost(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    mine = slurmrestd.add(7, OURS)
    management = manage()
    assert [job.state for job in management.jobs()] == ["PENDING"]
    mine.state = ["RUNNING"]
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.faults["GET job/7"] = [instead(hidden.status, hidden.body)]
    assert [job.state for job in management.jobs()] == ["RUNNING"]
    mine.state = ["COMPLETING"]
    for _ in range(2):
        assert [job.state for job in management.jobs()] == ["COMPLETING"]


def test_the_end_of_a_job_of_ours_that_is_hidden_is_not_missed(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    mine = slurmrestd.add(7, OURS, state="RUNNING")
    management = manage()
    assert [job.state for job in management.jobs()] == ["RUNNING"]
    mine.state = ["COMPLETED"]
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.faults["GET job/7"] = [instead(hidden.status, hidden.body)] * 9
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", ["COMPLETED"])]
    assert management.jobs() == []
    assert management.ended([RAN]).known == [COMPLETED]


@pytest.mark.parametrize("answers", ["late", "with a fault"])
def test_no_poll_fails_over_a_job_that_is_hidden(
    manage: Manage, slurmrestd: FakeSlurmrestd, monkeypatch: pytest.MonkeyPatch, answers: str
) -> None:
    monkeypatch.setattr(jobs_by_slurmrestd, "_GLANCE", 0.2)
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.add(8, "theirs")
    slurmrestd.add(7, OURS)
    slurmrestd.faults["GET job/8"] = [instead(hidden.status, hidden.body)]
    management = manage()
    assert len(management.jobs()) == 1
    if answers == "late":
        with slurmrestd.slow("GET job/8"):
            assert len(management.jobs()) == 1
    else:
        slurmrestd.faults["GET job/8"] = [instead(500, {"jobs": [], "errors": [{"error_number": -1}]})]
        assert len(management.jobs()) == 1
    assert len(management.jobs()) == 1


def test_tasks_of_arrays_are_not_asked_for(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    states = [{"job_id": "7_0", "state": ["PENDING"]}, {"job_id": "7_[1-9]", "state": ["PENDING"]}]
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": states, "errors": []})]
    assert manage().jobs() == []
    assert read(slurmrestd) == []


def test_reads_that_are_slow_are_an_error_and_the_next_poll_goes_on(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    for number in range(7, 12):
        slurmrestd.add(number, f"{OURS}{number}")
    management = manage(command_timeout=1)
    with slurmrestd.slow("GET job/9") as go_on:
        with pytest.raises(Unavailable):
            management.jobs()
        go_on.set()
    quick = {f"GET job/{number}" for number in (7, 8, 10, 11)}
    assert quick < set(read(slurmrestd))
    assert len(management.jobs()) == 5
    assert set(read(slurmrestd)) == {"GET job/9"}


def test_a_command_has_no_next_poll_and_reads_all_jobs_at_once(
    manage: Manage,
    slurmrestd: FakeSlurmrestd,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def slowly(do: Callable[[], Answer]) -> Answer:
        time.sleep(0.25)
        return do()

    monkeypatch.setattr(together, "_AT_A_TIME", 1)
    monkeypatch.setattr(jobs_by_slurmrestd, "_MANY", 6)
    native = Settings().for_native_jobs().job_name_prefix
    for number in range(7, 21):
        slurmrestd.add(number, f"{native}hello{number}")
        slurmrestd.faults[f"GET job/{number}"] = [slowly] * 2
    with pytest.raises(Unavailable, match="of 14 new jobs are not read yet"):
        manage(command_timeout=3).jobs()
    assert len(manage(command_timeout=3, job_name_prefix=native).jobs()) == 14
    assert "reading 14 takes a while" in caplog.text


def test_a_name_is_found_by_one_list_for_all_that_wait_for_it(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    """The first list may have begun before some of them asked."""
    management = manage()
    for number in range(7, 15):
        slurmrestd.add(number, f"{OURS}{number}", user="mario" if number == 7 else "kirby")
    all_of_them = threading.Barrier(9)

    def find(number: int) -> list[str]:
        all_of_them.wait(10)
        return [job.job_id for job in management.jobs_of("kirby", f"{NAME}{number}")]

    with ThreadPoolExecutor(8) as pool, slurmrestd.slow("GET jobs/state") as go_on:
        found = [pool.submit(find, number) for number in range(7, 15)]
        all_of_them.wait(10)
        eventually(lambda: slurmrestd.calls("GET jobs/state"), what="the first list")
        go_on.set()
        assert [each.result(10) for each in found] == [[], *([str(number)] for number in range(8, 15))]
    assert len(slurmrestd.calls("GET jobs/state")) <= 4
    slurmrestd.add(100, f"{OURS}7")
    assert [job.job_id for job in management.jobs_of("kirby", f"{NAME}7")] == ["100"]


def test_a_list_that_fails_is_asked_for_once_by_all_that_wait_for_it(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    management = manage(command_timeout=1)
    with ThreadPoolExecutor(8) as pool, slurmrestd.slow("GET jobs/state"):
        found = [pool.submit(management.jobs_of, "kirby", NAME) for _ in range(8)]
        faults = [str(each.exception(20)) for each in found]
    assert all("no answer" in fault or "not known yet" in fault for fault in faults), faults
    assert len(slurmrestd.calls("GET jobs/state")) <= 4


def test_a_read_that_fails_is_an_error_and_the_next_poll_goes_on(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.add(7, OURS)
    slurmrestd.add(8, f"{OURS}x")
    slurmrestd.faults["GET job/7"] = [instead(500, {"jobs": [], "errors": [{"error_number": -1}]})]
    management = manage()
    with pytest.raises(Unavailable):
        management.jobs()
    read(slurmrestd)
    assert len(management.jobs()) == 2
    assert read(slurmrestd) == ["GET job/7"]
