"""Managing jobs through slurmrestd with a service token: what is asked, how often, and what it means."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from pipeline.connectors.slurm import management_by_slurmrestd
from pipeline.connectors.slurm.choice import by_slurmrestd
from pipeline.connectors.slurm.management_by_slurmrestd import ManagementBySlurmrestd
from pipeline.errors import NotFound, OutOfReach, Refused, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.settings import Settings
from pipeline.settings.token import Token, TokenFile
from tests.harness.fake_slurmrestd import Answer, FakeJob, FakeSlurmrestd, error, instead, token
from tests.harness.jobs import NAME
from tests.harness.secret_files import write_secret
from tests.harness.waiting import eventually

OURS = f"jarvice_{NAME}"
TOKEN = token("jarvice")
RAN = JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING)
NEVER_SEEN = JobStatus(NAME, "7", "", "", Phase.ENDED)
COMPLETED = JobStatus(NAME, "7", "kirby", "COMPLETED", Phase.ENDED, 65, ("n1",), 0)

Connect = Callable[..., ManagementBySlurmrestd]


@pytest.fixture
def connect(slurmrestd: FakeSlurmrestd, tmp_path: Path) -> Iterator[Connect]:
    """Makes managements; a test changes their settings."""
    made = []

    def make(**changes: Any) -> ManagementBySlurmrestd:
        settings = slurmrestd.settings(tmp_path)
        made.append(by_slurmrestd(replace(settings, **({"command_timeout": 5} | changes))))
        management = made[-1].management
        assert isinstance(management, ManagementBySlurmrestd)
        return management

    yield make
    for connector in made:
        connector.close()


def read(slurmrestd: FakeSlurmrestd) -> list[str]:
    """Which single jobs were asked for since the last time."""
    found = sorted(asked.what for asked in slurmrestd.calls("GET job/"))
    slurmrestd.asked.clear()
    return found


# ---- polls ----


def test_jobs_are_those_of_this_portal_asked_as_the_service(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.add(7, OURS, state="RUNNING")
    slurmrestd.add(8, OURS.replace("jarvice_", "other_"))
    slurmrestd.add(9, "interactive", user="mario")
    [found] = connect().jobs()
    assert replace(found, elapsed=0) == JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING, 0, ("n1",))
    assert found.elapsed > 1_000_000
    assert {asked.user for asked in slurmrestd.asked if asked.what != "GET ping"} == {"jarvice"}


def test_only_what_has_changed_is_read_again_and_never_the_list_of_all_jobs(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    management = connect()
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
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    management = connect()
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
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    management = connect()
    slurmrestd.add(7, "interactive")
    assert management.jobs() == []
    del slurmrestd.jobs[7]
    assert management.jobs() == []
    slurmrestd.add(7, OURS)
    assert [job.job_id for job in management.jobs()] == ["7"]


def test_a_job_that_is_hidden_from_the_service_is_none_of_ours(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.add(8, "theirs")
    slurmrestd.add(7, OURS)
    slurmrestd.faults["GET job/8"] = [instead(hidden.status, hidden.body)]
    assert [job.job_id for job in connect().jobs()] == ["7"]
    assert read(slurmrestd) == ["GET job/7", "GET job/8"]


def test_a_hidden_job_is_asked_for_again_and_seen_once_the_service_is_let_see_it(
    connect: Connect, slurmrestd: FakeSlurmrestd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management_by_slurmrestd, "_HIDDEN_AGAIN", 2)
    hidden = error(2017, "Invalid job id specified", 404)
    for number in range(7, 12):
        slurmrestd.add(number, f"{OURS}{number}")
        slurmrestd.faults[f"GET job/{number}"] = [instead(hidden.status, hidden.body)] * 9
    management = connect()
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
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    mine = slurmrestd.add(7, OURS)
    management = connect()
    assert [job.state for job in management.jobs()] == ["PENDING"]
    mine.state = ["RUNNING"]
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.faults["GET job/7"] = [instead(hidden.status, hidden.body)]
    assert [job.state for job in management.jobs()] == ["RUNNING"]
    mine.state = ["COMPLETING"]
    for _ in range(2):
        assert [job.state for job in management.jobs()] == ["COMPLETING"]


def test_the_end_of_a_job_of_ours_that_is_hidden_is_not_missed(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    mine = slurmrestd.add(7, OURS, state="RUNNING")
    management = connect()
    assert [job.state for job in management.jobs()] == ["RUNNING"]
    mine.state = ["COMPLETED"]
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.faults["GET job/7"] = [instead(hidden.status, hidden.body)] * 9
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", ["COMPLETED"])]
    assert management.jobs() == []
    assert management.ended([RAN]).known == [COMPLETED]


@pytest.mark.parametrize("answers", ["late", "with a fault"])
def test_no_poll_fails_over_a_job_that_is_hidden(
    connect: Connect, slurmrestd: FakeSlurmrestd, monkeypatch: pytest.MonkeyPatch, answers: str
) -> None:
    monkeypatch.setattr(management_by_slurmrestd, "_GLANCE", 0.2)
    hidden = error(2017, "Invalid job id specified", 404)
    slurmrestd.add(8, "theirs")
    slurmrestd.add(7, OURS)
    slurmrestd.faults["GET job/8"] = [instead(hidden.status, hidden.body)]
    management = connect()
    assert len(management.jobs()) == 1
    if answers == "late":
        with slurmrestd.slow("GET job/8"):
            assert len(management.jobs()) == 1
    else:
        slurmrestd.faults["GET job/8"] = [instead(500, {"jobs": [], "errors": [{"error_number": -1}]})]
        assert len(management.jobs()) == 1
    assert len(management.jobs()) == 1


def test_polls_do_not_wait_for_accounting(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    management = connect()
    gone = [replace(RAN, job_id=str(number), name=f"{NAME}{number}") for number in range(7, 27)]
    with slurmrestd.slow("GET slurmdb") as go_on, ThreadPoolExecutor(1) as pool:
        ends = pool.submit(management.ended, gone)
        eventually(lambda: len(slurmrestd.calls("GET slurmdb")) == 8, seconds=5, what="eight that wait")
        slurmrestd.add(100, OURS)
        assert [job.job_id for job in management.jobs()] == ["100"]
        go_on.set()
        assert ends.result(10).known == []


def test_tasks_of_arrays_are_not_asked_for(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    states = [{"job_id": "7_0", "state": ["PENDING"]}, {"job_id": "7_[1-9]", "state": ["PENDING"]}]
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": states, "errors": []})]
    assert connect().jobs() == []
    assert read(slurmrestd) == []


def test_reads_that_are_slow_are_an_error_and_the_next_poll_goes_on(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    for number in range(7, 12):
        slurmrestd.add(number, f"{OURS}{number}")
    management = connect(command_timeout=1)
    with slurmrestd.slow("GET job/9") as go_on:
        with pytest.raises(Unavailable):
            management.jobs()
        go_on.set()
    quick = {f"GET job/{number}" for number in (7, 8, 10, 11)}
    assert quick < set(read(slurmrestd))
    assert len(management.jobs()) == 5
    assert set(read(slurmrestd)) == {"GET job/9"}


def test_a_command_has_no_next_poll_and_reads_all_jobs_at_once(
    connect: Connect,
    slurmrestd: FakeSlurmrestd,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def slowly(do: Callable[[], Answer]) -> Answer:
        time.sleep(0.2)
        return do()

    monkeypatch.setattr(management_by_slurmrestd, "_AT_A_TIME", 1)
    monkeypatch.setattr(management_by_slurmrestd, "_MANY", 6)
    native = Settings().for_native_jobs().job_name_prefix
    for number in range(7, 14):
        slurmrestd.add(number, f"{native}hello{number}")
        slurmrestd.faults[f"GET job/{number}"] = [slowly] * 2
    with pytest.raises(Unavailable, match="of 7 new jobs are not read yet"):
        connect(command_timeout=1).jobs()
    assert len(connect(command_timeout=1, job_name_prefix=native).jobs()) == 7
    assert "reading 7 takes a while" in caplog.text


def test_a_name_is_found_by_one_list_for_all_that_wait_for_it(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    """The first list may have begun before some of them asked."""
    management = connect()
    for number in range(7, 15):
        slurmrestd.add(number, f"{OURS}{number}", user="mario" if number == 7 else "kirby")
    together = threading.Barrier(9)

    def find(number: int) -> list[str]:
        together.wait(10)
        return [job.job_id for job in management.jobs_of("kirby", f"{NAME}{number}")]

    with ThreadPoolExecutor(8) as pool, slurmrestd.slow("GET jobs/state") as go_on:
        found = [pool.submit(find, number) for number in range(7, 15)]
        together.wait(10)
        eventually(lambda: slurmrestd.calls("GET jobs/state"), what="the first list")
        go_on.set()
        assert [each.result(10) for each in found] == [[], *([str(number)] for number in range(8, 15))]
    assert len(slurmrestd.calls("GET jobs/state")) <= 4
    slurmrestd.add(100, f"{OURS}7")
    assert [job.job_id for job in management.jobs_of("kirby", f"{NAME}7")] == ["100"]


def test_a_list_that_fails_is_asked_for_once_by_all_that_wait_for_it(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    management = connect(command_timeout=1)
    with ThreadPoolExecutor(8) as pool, slurmrestd.slow("GET jobs/state"):
        found = [pool.submit(management.jobs_of, "kirby", NAME) for _ in range(8)]
        faults = [str(each.exception(20)) for each in found]
    assert all("no answer" in fault or "not known yet" in fault for fault in faults), faults
    assert len(slurmrestd.calls("GET jobs/state")) <= 4


def test_a_read_that_fails_is_an_error_and_the_next_poll_goes_on(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.add(7, OURS)
    slurmrestd.add(8, f"{OURS}x")
    slurmrestd.faults["GET job/7"] = [instead(500, {"jobs": [], "errors": [{"error_number": -1}]})]
    management = connect()
    with pytest.raises(Unavailable):
        management.jobs()
    read(slurmrestd)
    assert len(management.jobs()) == 2
    assert read(slurmrestd) == ["GET job/7"]


def test_a_slurm_without_jobs_state_is_told(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.faults["GET jobs/state"] = [instead(404, "Unable find requested URL.")] * 2
    management = connect()
    for ask in (management.jobs, management.check):
        with pytest.raises(Unavailable, match=r"jobs/state, of Slurm 24\.05 and newer"):
            ask()


# ---- ends ----


def test_an_end_is_slurmctlds_word_while_it_has_one(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.add(7, OURS, state="COMPLETED")
    for asked in (RAN, NEVER_SEEN):
        assert connect().ended([asked]).known == [COMPLETED]
    assert slurmrestd.calls("GET slurmdb") == []


def test_after_that_it_is_accountings_word(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", ["COMPLETED"])]
    for asked in (RAN, NEVER_SEEN):
        assert connect().ended([asked]).known == [COMPLETED]


@pytest.mark.parametrize("states", [["NODE_FAIL", "COMPLETED"], ["PREEMPTED", "NODE_FAIL", "COMPLETED"]])
def test_of_a_requeued_job_the_last_run_counts(
    connect: Connect, slurmrestd: FakeSlurmrestd, states: list[str]
) -> None:
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", [state]) for state in states]
    assert connect().ended([RAN]).known == [COMPLETED]


def test_a_requeued_job_that_runs_again_has_not_ended(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", [state]) for state in ("NODE_FAIL", "RUNNING")]
    assert connect().ended([RAN]).known == []


@pytest.mark.parametrize("name", ["jarvice_2019-old", "interactive", NAME])
def test_another_job_with_the_same_id_is_not_the_one(
    connect: Connect, slurmrestd: FakeSlurmrestd, name: str
) -> None:
    slurmrestd.accounting = [FakeJob(7, name, "kirby", ["FAILED"])]
    assert connect().ended([RAN]).known == []
    slurmrestd.add(7, name, state="FAILED")
    assert connect().ended([RAN]).known == []


def test_a_job_that_nobody_knows_is_left_out(connect: Connect) -> None:
    assert connect().ended([NEVER_SEEN]).known == []


def test_while_accounting_does_not_answer_nobody_says_that_a_job_was_never_there(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    away = error(7000, "Unable to connect to database", 502)
    slurmrestd.faults["GET slurmdb"] = [instead(away.status, away.body)]
    known, fault = connect().ended([NEVER_SEEN])
    assert known == []
    assert isinstance(fault, Unavailable)
    assert "Unable to connect to database" in fault.message


def test_ends_are_read_together_in_one_commands_time_and_those_that_came_count(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    jobs = [replace(RAN, job_id=str(number), name=f"{NAME}{number}") for number in range(7, 27)]
    for job in jobs:
        slurmrestd.add(int(job.job_id), f"jarvice_{job.name}", state="COMPLETED")
    management = connect(command_timeout=1)
    begun = time.monotonic()
    with slurmrestd.slow("GET job/9"):
        known, fault = management.ended(jobs)
    assert time.monotonic() - begun < 3
    assert len(known) == len(jobs) - 1
    assert isinstance(fault, Unavailable)


# ---- what is done with jobs ----


def test_a_job_is_ended_released_and_shown(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.add(7, OURS)
    management = connect()
    management.release("7")
    assert slurmrestd.calls("POST job/7")[0].document == {"hold": False}
    assert f'"name": "{OURS}"' in management.events("7")
    management.terminate("7")
    assert slurmrestd.jobs[7].state == ["CANCELLED"]


def test_to_end_a_job_that_is_gone_is_no_error(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    connect().terminate("7")
    slurmrestd.faults["DELETE job/7"] = [instead(200, {"errors": []})]
    connect().terminate("7")


def test_an_answer_that_does_not_say_whether_a_job_was_ended_is_not_believed(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    job = slurmrestd.add(7, OURS, state="RUNNING")
    slurmrestd.faults["DELETE job/7"] = [instead(200, {"errors": []})] * 2
    with pytest.raises(Refused, match="order to end job 7, and it is RUNNING"):
        connect().terminate("7")
    job.state = ["CANCELLED", "COMPLETING"]
    connect().terminate("7")


def test_an_order_that_was_cut_off_is_worth_trying_again(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.add(7, OURS)
    management = connect()
    for what, ask in (("DELETE", management.terminate), ("POST", management.release)):
        slurmrestd.faults[what] = [lambda do: None]
        with pytest.raises(Unavailable):
            ask("7")


def test_a_job_that_is_not_there_is_not_found(connect: Connect) -> None:
    management = connect()
    for ask in (management.release, management.events):
        with pytest.raises(NotFound):
            ask("7")


def test_files_are_out_of_reach_and_that_is_404(connect: Connect) -> None:
    management = connect()
    of_files: list[Callable[[], object]] = [
        lambda: management.output(COMPLETED, 10),
        lambda: management.output_from(COMPLETED, 10),
        lambda: management.remove_files(COMPLETED),
        lambda: management.listing("/home", False),
    ]
    for ask in of_files:
        with pytest.raises(OutOfReach, match="slurmrestd") as fault:
            ask()
        assert fault.value.status == 404


# ---- the service token ----


def test_a_service_token_that_is_not_accepted_is_no_fault_of_the_caller(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    forged = jwt.encode({"sun": "jarvice"}, "x" * 32, algorithm="HS256")
    management = connect(slurm_service_token=Token(forged))
    for ask in (management.jobs, lambda: management.release("7")):
        with pytest.raises(
            Unavailable, match=r"JARVICE_SLURM_SERVICE_TOKEN is not accepted: .*authentication"
        ) as fault:
            ask()
        assert fault.value.status == 503
        assert forged not in fault.value.message


def test_a_service_that_is_no_coordinator_is_no_fault_of_the_caller(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.add(7, OURS)
    denied = error(2010, "Invalid user id", 500)
    slurmrestd.faults["POST job/7"] = [instead(denied.status, denied.body)]
    told = r"user of JARVICE_SLURM_SERVICE_TOKEN may not do this: .*Invalid user id"
    with pytest.raises(Unavailable, match=told):
        connect().release("7")


def test_a_token_file_is_read_again_when_it_changes(
    connect: Connect, slurmrestd: FakeSlurmrestd, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    write_secret(file, f"SLURM_JWT={token('jarvice', lifetime=-10)}\n")
    management = connect(slurm_service_token=TokenFile(file))
    with pytest.raises(Unavailable, match="is not accepted"):
        management.jobs()
    file.write_text(f"SLURM_JWT={TOKEN}\n")
    assert management.jobs() == []
    file.unlink()
    with pytest.raises(Unavailable, match="JARVICE_SLURM_SERVICE_TOKEN_FILE cannot be read"):
        management.jobs()
    write_secret(file, "two words\n")
    with pytest.raises(Unavailable, match="JARVICE_SLURM_SERVICE_TOKEN_FILE cannot be read: is not a token"):
        management.jobs()
    file.write_text(TOKEN)
    assert management.jobs() == []


# ---- whether it can be used ----


def test_a_check_asks_slurmctld_with_the_token_and_for_what_polls_need(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    connect().check()
    assert [asked.what for asked in slurmrestd.asked if asked.user == "jarvice"] == [
        "GET ping",
        "GET jobs/state",
    ]
    slurmrestd.slurmctld_is_up = False
    with pytest.raises(Unavailable, match="slurmctld does not answer"):
        connect().check()


def test_closing_ends_the_threads(connect: Connect, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.add(7, OURS)
    management = connect()
    management.jobs()
    management.close()
    eventually(
        lambda: not any(thread.name.startswith("slurmrestd") for thread in threading.enumerate()),
        seconds=5, pause=0.01,
    )  # fmt: skip


# ---- native jobs ----


def test_a_native_job_is_found_in_accounting_by_name_and_by_id(
    connect: Connect, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.accounting = [
        FakeJob(7, "jarvice_:hello", "kirby", ["FAILED"], exit_code=1),
        FakeJob(7, "jarvice_:hello", "kirby", ["FAILED"], exit_code=3),
        FakeJob(8, "jarvice_:hello", "mario", ["RUNNING"]),
        FakeJob(9, OURS, "mario", ["COMPLETED"]),
    ]
    management = connect(job_name_prefix="jarvice_:")
    hello = JobStatus("hello", "7", "kirby", "FAILED", Phase.ENDED, 65, ("n1",), 3)
    assert management.search("hello") == management.search("7") == [hello]
    for other in ("8", "9", "10", str(2**40), "other"):
        assert management.search(other) == []
    assert management.with_exit_codes([hello]) == [hello]
