"""slurmrestd's replies, in the forms of Slurm 22.05 (v0.0.38), 24.11 (.40 to .42) and 26.05 (.42 to .45)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import (
    AccountRefused,
    DownstreamError,
    Nonsense,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PartitionRefused,
    Refused,
    Unavailable,
)
from pipeline.job import JobStatus, Phase
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.rest.records import read_accounted, read_job, read_state
from pipeline.slurm.rest.refusals import NoSuchPath, ZeroBytes
from pipeline.slurm.rest.requests import (
    AccountedJob,
    CancelJob,
    GetJob,
    JobStates,
    Ping,
    ReleaseJob,
    RestRequest,
    ShowJob,
    SubmitJob,
)
from pipeline.slurm.submission import Unsettled
from pipeline.transport import HttpReply

OLD, MIDDLE, NEW = "v0.0.38", "v0.0.40", "v0.0.45"
NOW = 1795408200.0
SUBMIT = SubmitJob(b"{}")
NO_SUCH_PATH = b"Unable find requested URL. Please view /openapi/v3 for API reference."
NO_SUCH_PATH_26_05 = b"Unable to find requested URL endpoint. Please query the '/openapi/v3' endpoint"


def reply(document: object, status: int = 200) -> HttpReply:
    return HttpReply(status, json.dumps(document).encode())


def error(number: int, text: str, description: str = "Batch job submission failed") -> dict[str, Any]:
    """An entry of ``errors`` as v0.0.40 and newer have it."""
    source = "slurm_submit_batch_job()"
    return {"description": description, "error_number": number, "error": text, "source": source}


def errors(number: int, text: str, description: str = "Batch job submission failed") -> dict[str, Any]:
    return {"errors": [error(number, text, description)], "warnings": []}


def old_errors(number: int, text: str) -> dict[str, Any]:
    """What v0.0.38 says of a submission."""
    return {"errors": [{"error_code": number, "error": text}]}


def number(value: int | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": False, "number": value or 0}


# ---- submissions ----


HELD = "Job is in held state, pending scheduler release"
ACCEPTED = {
    "v0.0.38": {**old_errors(2042, HELD), "job_id": 250, "step_id": "BATCH", "job_submit_user_msg": ""},
    "v0.0.40": {
        "result": {"job_id": 250, "step_id": "batch", "error_code": 2042, "error": HELD},
        "job_id": 250, "step_id": "batch", "errors": [], "warnings": [{"description": HELD}],
    },
    "v0.0.42": {"job_id": 250, "step_id": "batch", "errors": [], "warnings": [{"description": HELD}]},
    "v0.0.45": {"job_id": 250, "step_id": "batch", "errors": [], "warnings": []},
}  # fmt: skip


@pytest.mark.parametrize("version", ACCEPTED)
@pytest.mark.parametrize("status", [200, 500])
def test_with_an_id_a_job_was_accepted_whatever_else_is_said(version: str, status: int) -> None:
    assert SUBMIT.parse(reply(ACCEPTED[version], status), version) == "250"


ACCOUNT = "Invalid account or account/partition combination specified"
PARTITION = "Invalid partition name specified"
CWD = "Job cannot be submitted without the current working directory specified."


@pytest.mark.parametrize(
    ("version", "status", "document", "kind", "words"),
    [
        (OLD, 500, old_errors(2045, ACCOUNT), AccountRefused, ACCOUNT),
        (MIDDLE, 500, errors(2045, ACCOUNT), AccountRefused, ACCOUNT),
        (NEW, 422, errors(2045, ACCOUNT), AccountRefused, ACCOUNT),
        (OLD, 500, old_errors(2000, PARTITION), PartitionRefused, PARTITION),
        (MIDDLE, 500, errors(2000, PARTITION), PartitionRefused, PARTITION),
        (NEW, 422, errors(2000, PARTITION), PartitionRefused, PARTITION),
        (NEW, 422, errors(2048, "Invalid license specification"), Refused, "Invalid license"),
        (NEW, 422, errors(2063, CWD), Refused, CWD),
        (NEW, 422, errors(2999, "Brand new words"), Refused, "Brand new words"),
        (NEW, 422, errors(2010, "Invalid user id"), NotAllowed, "Invalid user id"),
        (NEW, 500, errors(6010, "Rejecting authentication of user nobody"), NotAllowed, "user nobody"),
        (MIDDLE, 511, errors(1007, "Protocol authentication error"), NotAuthenticated, "authentication"),
        (NEW, 511, errors(1007, "Protocol authentication error"), NotAuthenticated, "authentication"),
        (OLD, 500, old_errors(5005, "Zero Bytes were transmitted or received"), ZeroBytes, "Zero"),
        (
            MIDDLE,
            500,
            {"errors": [{**error(9209, "Data parser expected a dictionary or object", "Expected dictionary"),
                         "source": "#/job/time_limit/"}]},
            Refused,
            "at #/job/time_limit/",
        ),
        (
            OLD,
            400,
            {"errors": [{"description": 'Unknown key "nosuchfield"', "source": "hsearch_r"},
                        {"error_code": 9001, "error": "Failure during parsing"}]},
            Refused,
            'Unknown key "nosuchfield"; Failure during parsing',
        ),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_in_slurms_own_words(
    version: str, status: int, document: object, kind: type[DownstreamError], words: str
) -> None:
    with pytest.raises(DownstreamError) as fault:
        SUBMIT.parse(reply(document, status), version)
    assert type(fault.value) is kind
    assert fault.value.message.startswith("slurmrestd: ")
    assert words in fault.value.message
    assert "Batch job submission failed" not in fault.value.message


@pytest.mark.parametrize(
    ("kind", "status"),
    [(Refused, 400), (AccountRefused, 403), (NotAllowed, 403), (NotAuthenticated, 401)],
)
def test_each_kind_has_its_status(kind: type[DownstreamError], status: int) -> None:
    assert kind.status == status


TIMED_OUT = "Socket timed out on send/recv operation"
CONNECT = "Unable to contact slurm controller (connect failure)"


@pytest.mark.parametrize(
    ("version", "found"),
    [
        (OLD, reply(old_errors(5004, TIMED_OUT), 500)),
        (NEW, reply(errors(5004, TIMED_OUT), 504)),
        (OLD, reply(old_errors(1800, CONNECT), 500)),
        (NEW, reply(errors(1800, CONNECT), 502)),
        (NEW, reply(errors(5005, "Zero Bytes were transmitted or received"), 500)),
        (NEW, reply(errors(-1, "Unspecified error"), 500)),
        (NEW, reply({"errors": [], "warnings": []})),
        (NEW, reply({"job_id": 0})),
        (NEW, reply({"job_id": True})),
        (NEW, reply({"job_id": -1})),
        (NEW, reply([])),
        (NEW, HttpReply(200, b"")),
        (NEW, HttpReply(200, b'{"job_id": 25')),
        (NEW, HttpReply(502, b"<html><body>Bad Gateway</body></html>")),
        (NEW, HttpReply(503, b"")),
        (NEW, HttpReply(404, b"<html>nginx</html>")),
        (NEW, HttpReply(500, b"\xff\xfe")),
    ],
)
def test_where_nobody_knows_whether_a_job_was_accepted_that_is_told(version: str, found: HttpReply) -> None:
    with pytest.raises(Unsettled):
        SUBMIT.parse(found, version)


@pytest.mark.parametrize("body", [NO_SUCH_PATH, NO_SUCH_PATH_26_05])
@pytest.mark.parametrize("request_", [SUBMIT, JobStates(), GetJob("7", "jarvice_"), Ping(), ReleaseJob("7")])
def test_a_version_that_is_not_served(request_: RestRequest[object], body: bytes) -> None:
    with pytest.raises(NoSuchPath):
        request_.parse(HttpReply(404, body), NEW)


def test_a_token_that_slurmrestd_itself_does_not_take() -> None:
    with pytest.raises(NotAuthenticated, match="Authentication failure"):
        SUBMIT.parse(HttpReply(401, b"Authentication failure"), OLD)


def test_the_payload_is_not_shown() -> None:
    assert "secret" not in repr(SubmitJob(b"secret"))


# ---- jobs that slurmctld knows ----


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
        (NEW, reply(errors(7000, "Unable to connect to database"), 502), Unavailable),
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


# ---- ending and releasing ----


def cancelled(code: int, text: str) -> dict[str, Any]:
    error = {"string": text, "code": code, "message": text}
    return {"status": [{"error": error, "step_id": "7", "federation": {"sibling": ""}}], "errors": []}


@pytest.mark.parametrize(
    ("version", "found"),
    [
        (OLD, reply({"errors": []})),
        (MIDDLE, reply({"errors": [], "warnings": []})),
        (NEW, reply({"status": [], "errors": [], "warnings": []})),
        (NEW, reply(cancelled(0, ""))),
        (NEW, reply(cancelled(2017, "Invalid job id specified"))),
        (NEW, reply(cancelled(2021, "Job/step already completing or completed"))),
    ],
)
def test_a_job_is_ended_or_was_not_there_any_more(version: str, found: HttpReply) -> None:
    CancelJob("7").parse(found, version)


@pytest.mark.parametrize(
    ("version", "found", "kind"),
    [
        (NEW, reply(cancelled(2002, "Access/permission denied")), NotAllowed),
        (NEW, reply(cancelled(2020, "Job can not be altered now, try again later")), Unavailable),
        (NEW, reply(cancelled(2999, "Brand new words")), Refused),
        (NEW, reply({"status": [], **errors(1007, "Protocol authentication error")}, 511), NotAuthenticated),
        (NEW, reply({"status": [], **errors(1, "Operation not permitted")}, 403), Unavailable),
        (OLD, reply(errors(1800, CONNECT, "unable to kill JobId=7 with signal 9"), 500), Unavailable),
        (OLD, reply(errors(2017, "Invalid job id specified", "unable to kill JobId=7"), 500), NotFound),
        (NEW, HttpReply(503, b"<html>Service Unavailable</html>"), Unavailable),
        (NEW, HttpReply(401, b"Authentication failure"), NotAuthenticated),
        (NEW, reply({"status": ["odd"], "errors": []}), Nonsense),
        (NEW, reply({"status": [{"error": "odd"}], "errors": []}), Nonsense),
        (NEW, reply({"status": 5, "errors": []}), Nonsense),
    ],
)
def test_a_job_that_was_not_ended(version: str, found: HttpReply, kind: type[DownstreamError]) -> None:
    with pytest.raises(DownstreamError, match=r"cancelling job 7|its answer") as fault:
        CancelJob("7").parse(found, version)
    assert type(fault.value) is kind


@pytest.mark.parametrize(
    "document", [{"errors": []}, {"results": [], "job_id": "", "errors": [], "warnings": []}]
)
def test_a_job_is_released(document: object) -> None:
    assert json.loads(ReleaseJob("7").body()) == {"hold": False}
    ReleaseJob("7").parse(reply(document), NEW)


@pytest.mark.parametrize(
    ("status", "number", "text", "kind"),
    [
        (500, 2010, "Invalid user id", NotAllowed),
        (422, 2010, "Invalid user id", NotAllowed),
        (500, 2084, "Job has already finished", Refused),
        (404, 2017, "Invalid job id specified", NotFound),
    ],
)
def test_a_job_that_is_not_released(status: int, number: int, text: str, kind: type[DownstreamError]) -> None:
    with pytest.raises(DownstreamError, match=f"releasing job 7: .*{text}") as fault:
        ReleaseJob("7").parse(reply({"results": None, **errors(number, text)}, status), NEW)
    assert type(fault.value) is kind


# ---- ping ----


UP = {
    "v0.0.38": {"hostname": "head", "ping": "UP", "status": 0, "mode": "primary"},
    "v0.0.40": {"hostname": "head", "pinged": "UP", "latency": 803, "mode": "primary"},
    "v0.0.42": {"hostname": "head", "pinged": "UP", "responding": True, "mode": "primary", "primary": True},
    "v0.0.45": {"hostname": "head", "responding": True, "primary": True, "status": "No error"},
}
DOWN = {
    "v0.0.38": {"hostname": "head", "ping": "DOWN", "status": 0, "mode": "primary"},
    "v0.0.40": {"hostname": "head", "pinged": "DOWN", "latency": 11276, "mode": "primary"},
    "v0.0.42": {"hostname": "head", "pinged": "DOWN", "responding": False, "mode": "primary"},
    "v0.0.45": {"hostname": "head", "responding": False, "primary": True, "status": CONNECT},
}


@pytest.mark.parametrize("version", UP)
def test_a_slurmctld_that_answers(version: str) -> None:
    Ping().parse(reply({"pings": [UP[version]], "errors": []}), version)
    Ping().parse(reply({"pings": [DOWN[version], UP[version]], "errors": []}), version)


@pytest.mark.parametrize("version", DOWN)
def test_a_slurmctld_that_does_not_answer(version: str) -> None:
    with pytest.raises(Unavailable, match=r"slurmctld does not answer \(head "):
        Ping().parse(reply({"pings": [DOWN[version]], "errors": []}), version)


@pytest.mark.parametrize("pings", [[], None, 5, ["up"], {"a": 1}])
def test_a_ping_that_says_nothing_is_no_answer(pings: object) -> None:
    with pytest.raises((Unavailable, Nonsense)):
        Ping().parse(reply({"pings": pings, "errors": []}), NEW)


# ---- whatever may come ----


_KEYS = st.sampled_from(
    ["job_id", "name", "user_name", "user", "job_state", "state", "current", "nodes", "time", "start_time",
     "end_time", "start", "end", "status", "error", "code", "string", "responding", "pinged", "ping",
     "error_number", "error_code", "description", "source", "set", "infinite", "number"]
)  # fmt: skip
_PLAIN = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.sampled_from([0, 1, -1, 7, 200, 2017, 2021, 1007, 2**70])
    | st.sampled_from(["RUNNING", "PENDING", "UP", "kirby", "jarvice_2024-x", "n[1-2]", "n[", "#/a", "7", ""])
    | st.text(max_size=5)
)
_ANY = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=20,
)
_ENTRIES = _ANY | st.lists(st.dictionaries(_KEYS, _ANY, max_size=8), max_size=3)
_DOCUMENTS = st.fixed_dictionaries(
    {}, optional={"job_id": _ANY, **dict.fromkeys(("jobs", "errors", "status", "pings"), _ENTRIES)}
)
_BODIES = st.binary(max_size=40) | (_DOCUMENTS | _ANY).map(lambda document: json.dumps(document).encode())
_REQUESTS: list[RestRequest[object]] = [
    SUBMIT, JobStates(), GetJob("7", "jarvice_"), ShowJob("7"), AccountedJob("7"), CancelJob("7"),
    ReleaseJob("7"), Ping(),
]  # fmt: skip


@given(
    body=_BODIES,
    status=st.sampled_from([200, 400, 401, 404, 422, 500, 502, 511]),
    version=st.sampled_from(API_VERSIONS),
)
@example(b'{"jobs": [{"job_id": 7, "x": ' + b"[" * 400 + b"]" * 400 + b"}]}", 200, NEW)
@example(b"[" * 100_000, 200, NEW)
@example(b'{"job_id": ' + b"9" * 5000 + b"}", 200, NEW)
def test_no_reply_makes_anything_but_an_answer_or_an_error(body: bytes, status: int, version: str) -> None:
    for request in _REQUESTS:
        try:
            request.parse(HttpReply(status, body), version)
        except (DownstreamError, Unsettled, NoSuchPath):
            continue


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


@pytest.mark.parametrize("request_", [CancelJob("7"), ReleaseJob("7"), GetJob("7", "jarvice_"), ShowJob("7")])
def test_a_version_that_is_gone_is_no_answer_about_a_job(request_: RestRequest[object]) -> None:
    with pytest.raises(NoSuchPath):
        request_.parse(HttpReply(404, b"Unable find requested URL. Please view /openapi/v3"), NEW)


def test_of_anothers_job_nothing_but_the_name_is_read() -> None:
    found = {"job_id": 7, "name": "interactive", "nodes": "bgl[000x133]"}
    document = {"jobs": [found], "errors": []}
    assert GetJob("7", "jarvice_").parse(reply(document), NEW) is None
    found["name"] = "jarvice_2024-x"
    with pytest.raises(Nonsense, match="job 7"):
        GetJob("7", "jarvice_").parse(reply(document), NEW)
