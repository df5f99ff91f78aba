"""What slurmrestd says to an order, and to the question whether slurmctld answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import (
    DownstreamError,
    Nonsense,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)
from pipeline.slurm.rest.refusals import NoSuchPath
from pipeline.slurm.rest.requests import CancelJob, GetJob, Ping, ReleaseJob, RestRequest, ShowJob
from pipeline.transport import HttpReply
from tests.harness.rest_replies import CONNECT, MIDDLE, NEW, OLD, errors, reply

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
        (OLD, reply(errors(1800, CONNECT, "unable to kill JobId=7 with signal 9"), 500), Unreachable),
        (OLD, reply(errors(2017, "Invalid job id specified", "unable to kill JobId=7"), 500), NotFound),
        (NEW, HttpReply(503, b"<html>Service Unavailable</html>"), Unreachable),
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


@pytest.mark.parametrize("request_", [CancelJob("7"), ReleaseJob("7"), GetJob("7", "jarvice_"), ShowJob("7")])
def test_a_version_that_is_gone_is_no_answer_about_a_job(request_: RestRequest[object]) -> None:
    with pytest.raises(NoSuchPath):
        request_.parse(HttpReply(404, b"Unable find requested URL. Please view /openapi/v3"), NEW)
