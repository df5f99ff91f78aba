"""What slurmrestd says of jobs, as slurmctld and as accounting know them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import (
    DownstreamError,
    Nonsense,
    NotAuthenticated,
    NotFound,
    Unavailable,
    Unreachable,
)
from pipeline.job import JobStatus, Phase
from pipeline.slurm.rest.records import read_accounted, read_job, read_state
from pipeline.slurm.rest.requests import AccountedJob, AccountedName, GetJob, JobStates, ShowJob
from pipeline.transport import HttpReply
from tests.harness.rest_replies import NEW, NOW, OLD, errors, number, reply


def test_the_states_of_all_jobs_but_tasks_of_arrays() -> None:
    rows = [("5", ["PENDING"]), ("7_0", ["PENDING"]), ("7_[1-9]", ["PENDING"]), ("8", ["RUNNING"]),
            ("9", ["CANCELLED", "COMPLETING"])]  # fmt: skip
    document = {"jobs": [{"job_id": job_id, "state": state} for job_id, state in rows], "errors": []}
    states = JobStates().parse(reply(document), NEW)
    assert states == {"5": "PENDING", "8": "RUNNING", "9": "COMPLETING"}


def test_no_job_at_all() -> None:
    assert JobStates().parse(reply({"jobs": [], "errors": [], "warnings": []}), NEW) == {}


UNKNOWN_STATES = errors(-1, "Unspecified error", "Unable to query job states")


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (reply({"jobs": None, **UNKNOWN_STATES}, 500), Unavailable),
        (reply({"jobs": [], **UNKNOWN_STATES}), Unavailable),
        (reply({"jobs": None, "errors": []}), Unavailable),
        (reply(errors(1007, "Protocol authentication error"), 511), NotAuthenticated),
        (HttpReply(500, b"Unspecified error"), Nonsense),
        (reply({"jobs": [{"job_id": "5"}], "errors": []}), Nonsense),
        (reply({"jobs": [{"job_id": "5", "state": ["PENDING"]}, "6"], "errors": []}), Nonsense),
        (reply({"jobs": [], "errors": 5}), Nonsense),
        (reply({"jobs": [{"job_id": "5", "state": []}], "errors": []}), Nonsense),
        (reply({"jobs": [{"job_id": "5", "state": [5]}], "errors": []}), Nonsense),
    ],
)  # fmt: skip
def test_a_list_that_is_not_whole_is_no_answer(found: HttpReply, kind: type[DownstreamError]) -> None:
    with pytest.raises(DownstreamError) as fault:
        JobStates().parse(found, NEW)
    assert type(fault.value) is kind


def job(**changes: Any) -> dict[str, Any]:
    """A job as v0.0.40 and newer have it."""
    return {
        "job_id": 427, "name": "jarvice_2024-x", "user_name": "kirby", "job_state": ["RUNNING"],
        "nodes": "n[1-2]", "start_time": number(1795408079), "end_time": number(1795408679), **changes,
    }  # fmt: skip


def old_job(**changes: Any) -> dict[str, Any]:
    """A job as v0.0.38 has it."""
    return {
        "job_id": 427, "name": "jarvice_2024-x", "user_name": "kirby", "job_state": "RUNNING",
        "nodes": "n[1-2]", "start_time": 1795408079, "end_time": 1795408679, **changes,
    }  # fmt: skip


def status(record: dict[str, Any]) -> JobStatus | None:
    return read_job(record).status("jarvice_", NOW)


RUNS = JobStatus("2024-x", "427", "kirby", "RUNNING", Phase.RUNNING, 121, ("n1", "n2"))


@pytest.mark.parametrize("record", [job(), old_job()])
def test_a_running_job(record: dict[str, Any]) -> None:
    assert status(record) == RUNS


@pytest.mark.parametrize(
    "record",
    [
        job(job_state=["PENDING"], nodes="", start_time=number(1795408000), end_time=number(1795409000)),
        job(job_state=["PENDING"], nodes="", start_time=number(None), end_time=number(None)),
        old_job(job_state="PENDING", nodes="", start_time=1795408000, end_time=1795409000),
        old_job(job_state="PENDING", nodes="", start_time=0, end_time=0),
    ],
)
def test_a_waiting_job_has_no_time_whatever_the_scheduler_guesses(record: dict[str, Any]) -> None:
    assert status(record) == JobStatus("2024-x", "427", "kirby", "PENDING", Phase.QUEUED, 0, ())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, ""),
        ({"state_reason": "None", "state_description": ""}, ""),
        ({"state_reason": "JobHeldUser", "state_description": None}, "JobHeldUser"),
        ({"state_reason": "ReqNodeNotAvail", "state_description": "ReqNodeNotAvail,\nUnavailableNodes:n3"},
         "ReqNodeNotAvail, UnavailableNodes:n3"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("state", ["PENDING", ["PENDING"]])
def test_a_waiting_job_has_the_reason_that_squeue_shows(
    state: object, said: dict[str, Any], reason: str
) -> None:
    found = status(job(job_state=state, **said))
    assert found is not None
    assert found.reason == reason
    over = status(job(job_state=["FAILED"], state_reason="NonZeroExitCode"))
    assert over is not None
    assert over.reason == ""


@pytest.mark.parametrize(
    ("state", "word", "phase"),
    [
        (["CANCELLED", "COMPLETING"], "COMPLETING", Phase.RUNNING),
        (["COMPLETED", "COMPLETING"], "COMPLETING", Phase.RUNNING),
        ("COMPLETING", "COMPLETING", Phase.RUNNING),
        (["RUNNING", "CONFIGURING"], "CONFIGURING", Phase.QUEUED),
        (["PENDING", "REQUEUED"], "REQUEUED", Phase.QUEUED),
        (["SUSPENDED"], "SUSPENDED", Phase.RUNNING),
        (["NEW_WORD"], "NEW_WORD", Phase.RUNNING),
    ],
)
def test_a_flag_goes_before_the_state(state: object, word: str, phase: Phase) -> None:
    found = status(job(job_state=state))
    assert found is not None
    assert (found.state, found.phase) == (word, phase)


@pytest.mark.parametrize(
    "record",
    [
        job(job_state=["COMPLETED"], end_time=number(1795408090)),
        old_job(job_state="COMPLETED", end_time=1795408090),
    ],
)
def test_an_ended_job_has_the_time_that_it_ran(record: dict[str, Any]) -> None:
    found = status(record)
    assert found is not None
    assert (found.state, found.phase, found.elapsed) == ("COMPLETED", Phase.ENDED, 11)


def test_a_job_of_another_portal_is_none_of_ours() -> None:
    for name in ("2024-x", "other_2024-x", "jarvice_test_2024-x", "batch"):
        assert status(job(name=name)) is None


@pytest.mark.parametrize(
    "record",
    [
        job(job_state=None), job(job_state=[]), job(name=None, job_id="x"), job(nodes="n[1"),
        job(nodes="n[1-999999999]"), job(nodes="n" + "[1]" * 2000), job(start_time=[]),
        job(start_time={"set": True, "number": "soon"}), job(start_time=float("inf")),
        job(job_id=float("nan")), {}, {"job_id": 5},
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_is_an_error(record: dict[str, Any]) -> None:
    with pytest.raises(Nonsense, match=r"^slurmrestd: cannot read what it says of job "):
        read_job(record)


def test_one_job_of_several_is_the_one_that_was_asked_for() -> None:
    document = {"jobs": [job(job_id=428), job()], "errors": []}
    assert GetJob("427", "jarvice_").parse(reply(document), NEW) == read_job(job())


@pytest.mark.parametrize(
    ("version", "found"),
    [
        (OLD, reply({"jobs": [], **errors(2017, "Invalid job id specified", "Unable to find JobId=7")}, 500)),
        (
            NEW,
            reply({"jobs": [], **errors(2017, "Invalid job id specified", "Unable to query JobId=7")}, 404),
        ),
        (NEW, reply({"jobs": [], "errors": []})),
    ],
)
def test_a_job_that_slurmctld_does_not_know(version: str, found: HttpReply) -> None:
    with pytest.raises(NotFound):
        GetJob("7", "jarvice_").parse(found, version)


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_job_while_slurmctld_is_away(version: str) -> None:
    found = reply({"jobs": [], **errors(-1, "Unspecified error", "Unable to query JobId=7")}, 500)
    with pytest.raises(Unavailable, match="Unable to query JobId=7"):
        GetJob("7", "jarvice_").parse(found, version)


def test_all_that_is_known_of_a_job_without_what_is_not_set() -> None:
    record = job(comment="", licenses=[], tres={"a": ""}, end_time=number(None), flags=["A"], hold=False,
                 time_limit={"set": True, "infinite": True, "number": 0})  # fmt: skip
    shown = json.loads(ShowJob("427").parse(reply({"jobs": [record], "errors": []}), NEW))
    assert shown == {
        "job_id": 427, "name": "jarvice_2024-x", "user_name": "kirby", "job_state": ["RUNNING"],
        "nodes": "n[1-2]", "start_time": 1795408079, "flags": ["A"], "hold": False, "time_limit": "infinite",
    }  # fmt: skip


# ---- jobs that accounting knows ----


def accounted(state: object, **times: Any) -> dict[str, Any]:
    times = {"start": 1795408079, "end": 1795408116, **times}
    return {"job_id": 427, "name": "jarvice_2024-x", "user": "kirby", "nodes": "n1",
            "state": {"current": state, "reason": "None"}, "time": times}  # fmt: skip


@pytest.mark.parametrize(("version", "state"), [(OLD, "TIMEOUT"), (NEW, ["TIMEOUT"])])
def test_an_accounting_record(version: str, state: object) -> None:
    [record] = AccountedJob("427").parse(reply({"jobs": [accounted(state)], "errors": []}), version)
    assert record.status("jarvice_", NOW) == JobStatus(
        "2024-x", "427", "kirby", "TIMEOUT", Phase.ENDED, 37, ("n1",)
    )


def code(number_: object = None, signal: object = None, signal_key: str = "id") -> dict[str, Any]:
    return {"status": ["ERROR"], "return_code": number_, "signal": {signal_key: signal, "name": ""}}


EXIT_CODES = [
    ("FAILED", 3 << 8, 3),  # slurmctld, up to v0.0.39
    ("FAILED", 9, 137),
    ("FAILED", 139, 139),  # with a core dump
    ("FAILED", None, None),
    ("FAILED", code(3, 0, "signal_id"), 3),  # accounting, up to v0.0.39
    ("FAILED", code(0, 9, "signal_id"), 137),
    ("FAILED", code(3, None, "signal_id"), 3),
    ("FAILED", code(number(3), number(None)), 3),
    ("FAILED", code(number(None), number(9)), 137),
    ("FAILED", code(number(0), number(None)), None),
    ("FAILED", {**code(number(3)), "signal": None}, 3),
    ("COMPLETED", code(number(0), number(None)), 0),
    ("CANCELLED", code(number(None), number(15)), None),
    ("RUNNING", code(number(0), number(None)), None),
]


@pytest.mark.parametrize(("state", "said", "exit_code"), EXIT_CODES)
def test_the_exit_code_in_all_its_forms(state: str, said: object, exit_code: int | None) -> None:
    assert read_job({**job(job_state=[state]), "exit_code": said}).exit_code == exit_code
    assert read_accounted({**accounted([state]), "exit_code": said}).exit_code == exit_code


@pytest.mark.parametrize("said", ["soon", [], code("soon"), {**code(number(3)), "signal": [9]}])
def test_an_exit_code_that_cannot_be_read_is_an_error(said: object) -> None:
    with pytest.raises(Nonsense):
        read_job({**job(job_state=["FAILED"]), "exit_code": said})


def test_accounting_is_asked_for_a_name_of_the_last_days() -> None:
    command = AccountedName("jarvice_:hello")
    path, _, query = command.path(NEW).partition("?")
    assert path == f"/slurmdb/{NEW}/jobs"
    assert query.startswith("job_name=jarvice_%3Ahello&start_time=now-30days&end_time=now%2B1days&state=")
    assert "&state=CANCELLED&" in query, "a parameter for each: a list with commas is not read"
    runs = [{**accounted(["FAILED"]), "name": name} for name in ("jarvice_:hello", "jarvice_:Hello")]
    assert [job.slurm_name for job in command.parse(reply({"jobs": runs, "errors": []}), NEW)] == [
        "jarvice_:hello"
    ]
    assert command.parse(reply(NOTHING_OLD), OLD) == []


@pytest.mark.parametrize("start", [None, 0, 4294967294])
def test_a_job_that_was_cancelled_before_it_began_has_no_time_and_no_nodes(start: int | None) -> None:
    record = {**accounted(["CANCELLED"], start=start), "nodes": "None assigned"}
    found = read_accounted(record).status("jarvice_", NOW)
    assert found == JobStatus("2024-x", "427", "kirby", "CANCELLED", Phase.ENDED, 0, ())


def test_a_requeued_jobs_runs_are_given_oldest_first() -> None:
    runs = [accounted(["NODE_FAIL"]), accounted(["COMPLETED"])]
    records = AccountedJob("427").parse(reply({"jobs": runs, "errors": []}), NEW)
    assert [record.state for record in records] == ["NODE_FAIL", "COMPLETED"]


NOTHING = {"jobs": [], "errors": [], "warnings": [{"description": "slurmdb_jobs_get() found nothing"}]}
NOTHING_OLD = {
    "jobs": [],
    "errors": [{"description": "Nothing found", "error_number": 9003, "error": "Nothing found with query"}],
}


@pytest.mark.parametrize(("version", "document"), [(NEW, NOTHING), (OLD, NOTHING_OLD)])
def test_an_id_that_accounting_does_not_know_has_no_record(version: str, document: object) -> None:
    assert AccountedJob("427").parse(reply(document), version) == []


@pytest.mark.parametrize(
    ("version", "found", "kind"),
    [
        (NEW, reply(errors(7000, "Unable to connect to database"), 502), Unreachable),
        (OLD, reply({"jobs": [], **errors(7000, "Unable to connect to database")}), Unavailable),
        (OLD, reply({"jobs": [], **errors(1007, "Protocol authentication error")}), NotAuthenticated),
        (NEW, reply({"jobs": [{**accounted(["FAILED"]), "state": ["FAILED"]}], "errors": []}), Nonsense),
        (NEW, reply({"jobs": [{**accounted(["FAILED"]), "time": [1]}], "errors": []}), Nonsense),
        (NEW, reply({"jobs": [{**accounted(["FAILED"]), "time": None}], "errors": []}), None),
    ],
)
def test_accounting_that_does_not_answer_is_no_answer(
    version: str, found: HttpReply, kind: type[DownstreamError] | None
) -> None:
    if kind is None:
        assert AccountedJob("427").parse(found, version)
        return
    with pytest.raises(DownstreamError) as fault:
        AccountedJob("427").parse(found, version)
    assert type(fault.value) is kind


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["PENDING"], "PENDING"),
        (["PENDING", "REQUEUED", "COMPLETING"], "COMPLETING"),
        (["CANCELLED", "STAGE_OUT"], "STAGE_OUT"),
        (["RUNNING", "CONFIGURING"], "CONFIGURING"),
        (["POWER_UP_NODE", "RUNNING"], "RUNNING"),
        (["A_WORD_OF_A_LATER_SLURM"], "A_WORD_OF_A_LATER_SLURM"),
    ],
)
def test_of_several_words_for_a_state_the_one_counts_that_squeue_shows(words: list[str], shown: str) -> None:
    assert read_state(words) == shown


def test_of_anothers_job_nothing_but_the_name_is_read() -> None:
    found = {"job_id": 7, "name": "interactive", "nodes": "bgl[000x133]"}
    document = {"jobs": [found], "errors": []}
    assert GetJob("7", "jarvice_").parse(reply(document), NEW) is None
    found["name"] = "jarvice_2024-x"
    with pytest.raises(Nonsense, match="job 7"):
        GetJob("7", "jarvice_").parse(reply(document), NEW)
