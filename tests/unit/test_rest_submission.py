"""What slurmrestd says to a submission."""

from __future__ import annotations

import pytest

from pipeline.errors import (
    AccountRefused,
    DownstreamError,
    NotAllowed,
    NotAuthenticated,
    PartitionRefused,
    Refused,
)
from pipeline.slurm.rest.refusals import NoSuchPath, ZeroBytes
from pipeline.slurm.rest.requests import GetJob, JobStates, Ping, ReleaseJob, RestRequest, SubmitJob
from pipeline.slurm.submission import Unsettled
from pipeline.transport import HttpReply
from tests.harness.rest_replies import (
    CONNECT,
    MIDDLE,
    NEW,
    NO_SUCH_PATH,
    NO_SUCH_PATH_26_05,
    OLD,
    SUBMIT,
    error,
    errors,
    old_errors,
    reply,
)

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
