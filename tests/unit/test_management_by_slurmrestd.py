"""Managing jobs through slurmrestd with a service token: ends, orders, the token."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from pipeline.errors import NotFound, OutOfReach, Refused, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.settings.token import Token, TokenFile
from tests.harness.fake_slurmrestd import FakeJob, FakeSlurmrestd, error, instead, token
from tests.harness.jobs import NAME
from tests.harness.secret_files import write_secret
from tests.harness.waiting import eventually, within
from tests.unit.conftest import Manage

OURS = f"jarvice_{NAME}"
TOKEN = token("jarvice")
RAN = JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING)
NEVER_SEEN = JobStatus(NAME, "7", "", "", Phase.ENDED)
COMPLETED = JobStatus(NAME, "7", "kirby", "COMPLETED", Phase.ENDED, 65, ("n1",), 0)

# ---- ends ----


def test_an_end_is_slurmctlds_word_while_it_has_one(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.add(7, OURS, state="COMPLETED")
    for asked in (RAN, NEVER_SEEN):
        assert manage().ended([asked]).known == [COMPLETED]
    assert slurmrestd.calls("GET slurmdb") == []


def test_after_that_it_is_accountings_word(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", ["COMPLETED"])]
    for asked in (RAN, NEVER_SEEN):
        assert manage().ended([asked]).known == [COMPLETED]


@pytest.mark.parametrize("states", [["NODE_FAIL", "COMPLETED"], ["PREEMPTED", "NODE_FAIL", "COMPLETED"]])
def test_of_a_requeued_job_the_last_run_counts(
    manage: Manage, slurmrestd: FakeSlurmrestd, states: list[str]
) -> None:
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", [state]) for state in states]
    assert manage().ended([RAN]).known == [COMPLETED]


def test_a_requeued_job_that_runs_again_has_not_ended(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.accounting = [FakeJob(7, OURS, "kirby", [state]) for state in ("NODE_FAIL", "RUNNING")]
    assert manage().ended([RAN]).known == []


@pytest.mark.parametrize("name", ["jarvice_2019-old", "interactive", NAME])
def test_another_job_with_the_same_id_is_not_the_one(
    manage: Manage, slurmrestd: FakeSlurmrestd, name: str
) -> None:
    slurmrestd.accounting = [FakeJob(7, name, "kirby", ["FAILED"])]
    assert manage().ended([RAN]).known == []
    slurmrestd.add(7, name, state="FAILED")
    assert manage().ended([RAN]).known == []


def test_a_job_that_nobody_knows_is_left_out(manage: Manage) -> None:
    assert manage().ended([NEVER_SEEN]).known == []


def test_while_accounting_does_not_answer_nobody_says_that_a_job_was_never_there(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    away = error(7000, "Unable to connect to database", 502)
    slurmrestd.faults["GET slurmdb"] = [instead(away.status, away.body)]
    known, fault = manage().ended([NEVER_SEEN])
    assert known == []
    assert isinstance(fault, Unavailable)
    assert "Unable to connect to database" in fault.message


def test_ends_are_read_together_in_one_commands_time_and_those_that_came_count(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    jobs = [replace(RAN, job_id=str(number), name=f"{NAME}{number}") for number in range(7, 27)]
    for job in jobs:
        slurmrestd.add(int(job.job_id), f"jarvice_{job.name}", state="COMPLETED")
    management = manage(command_timeout=1)
    with within(3), slurmrestd.slow("GET job/9"):
        known, fault = management.ended(jobs)
    assert len(known) == len(jobs) - 1
    assert isinstance(fault, Unavailable)


def test_polls_do_not_wait_for_accounting(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    management = manage()
    gone = [replace(RAN, job_id=str(number), name=f"{NAME}{number}") for number in range(7, 27)]
    with slurmrestd.slow("GET slurmdb") as go_on, ThreadPoolExecutor(1) as pool:
        ends = pool.submit(management.ended, gone)
        eventually(lambda: len(slurmrestd.calls("GET slurmdb")) == 8, seconds=5, what="eight that wait")
        slurmrestd.add(100, OURS)
        assert [job.job_id for job in management.jobs()] == ["100"]
        go_on.set()
        assert ends.result(10).known == []


# ---- what is done with jobs ----


def test_a_job_is_ended_released_and_shown(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.add(7, OURS)
    management = manage()
    management.release("7")
    assert slurmrestd.calls("POST job/7")[0].document == {"hold": False}
    assert f'"name": "{OURS}"' in management.events("7")
    management.terminate("7")
    assert slurmrestd.jobs[7].state == ["CANCELLED"]


def test_to_end_a_job_that_is_gone_is_no_error(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    manage().terminate("7")
    slurmrestd.faults["DELETE job/7"] = [instead(200, {"errors": []})]
    manage().terminate("7")


def test_an_answer_that_does_not_say_whether_a_job_was_ended_is_not_believed(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    job = slurmrestd.add(7, OURS, state="RUNNING")
    slurmrestd.faults["DELETE job/7"] = [instead(200, {"errors": []})] * 2
    with pytest.raises(Refused, match="order to end job 7, and it is RUNNING"):
        manage().terminate("7")
    job.state = ["CANCELLED", "COMPLETING"]
    manage().terminate("7")


def test_an_order_that_was_cut_off_is_worth_trying_again(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.add(7, OURS)
    management = manage()
    for what, ask in (("DELETE", management.terminate), ("POST", management.release)):
        slurmrestd.faults[what] = [lambda do: None]
        with pytest.raises(Unavailable):
            ask("7")


def test_a_job_that_is_not_there_is_not_found(manage: Manage) -> None:
    management = manage()
    for ask in (management.release, management.events):
        with pytest.raises(NotFound):
            ask("7")


def test_files_are_out_of_reach_and_that_is_404(manage: Manage) -> None:
    management = manage()
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
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    forged = jwt.encode({"sun": "jarvice"}, "x" * 32, algorithm="HS256")
    management = manage(slurm_service_token=Token(forged))
    for ask in (management.jobs, lambda: management.release("7")):
        with pytest.raises(
            Unavailable, match=r"JARVICE_SLURM_SERVICE_TOKEN is not accepted: .*authentication"
        ) as fault:
            ask()
        assert fault.value.status == 503
        assert forged not in fault.value.message


def test_a_service_that_is_no_coordinator_is_no_fault_of_the_caller(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.add(7, OURS)
    denied = error(2010, "Invalid user id", 500)
    slurmrestd.faults["POST job/7"] = [instead(denied.status, denied.body)]
    told = r"user of JARVICE_SLURM_SERVICE_TOKEN may not do this: .*Invalid user id"
    with pytest.raises(Unavailable, match=told):
        manage().release("7")


def test_a_token_file_is_read_again_when_it_changes(
    manage: Manage, slurmrestd: FakeSlurmrestd, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    write_secret(file, f"SLURM_JWT={token('jarvice', lifetime=-10)}\n")
    management = manage(slurm_service_token=TokenFile(file))
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
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    manage().check()
    assert [asked.what for asked in slurmrestd.asked if asked.user == "jarvice"] == [
        "GET ping",
        "GET jobs/state",
    ]
    slurmrestd.slurmctld_is_up = False
    with pytest.raises(Unavailable, match="slurmctld does not answer"):
        manage().check()


def test_a_slurm_without_jobs_state_is_told(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.faults["GET jobs/state"] = [instead(404, "Unable find requested URL.")] * 2
    management = manage()
    for ask in (management.jobs, management.check):
        with pytest.raises(Unavailable, match=r"jobs/state, of Slurm 24\.05 and newer"):
            ask()


def test_closing_ends_the_threads(manage: Manage, slurmrestd: FakeSlurmrestd) -> None:
    slurmrestd.add(7, OURS)
    management = manage()
    management.jobs()
    management.close()
    eventually(
        lambda: not any(thread.name.startswith("slurmrestd") for thread in threading.enumerate()),
        seconds=5, pause=0.01,
    )  # fmt: skip


# ---- native jobs ----


def test_a_native_job_is_found_in_accounting_by_name_and_by_id(
    manage: Manage, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.accounting = [
        FakeJob(7, "jarvice_:hello", "kirby", ["FAILED"], exit_code=1),
        FakeJob(7, "jarvice_:hello", "kirby", ["FAILED"], exit_code=3),
        FakeJob(8, "jarvice_:hello", "mario", ["RUNNING"]),
        FakeJob(9, OURS, "mario", ["COMPLETED"]),
    ]
    management = manage(job_name_prefix="jarvice_:")
    hello = JobStatus("hello", "7", "kirby", "FAILED", Phase.ENDED, 65, ("n1",), 3)
    assert management.search("hello") == management.search("7") == [hello]
    for other in ("8", "9", "10", str(2**40), "other"):
        assert management.search(other) == []
    assert management.with_exit_codes([hello]) == [hello]
