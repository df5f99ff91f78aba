"""Whatever slurmrestd may say, and whatever may stand in its place."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import DownstreamError
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.rest.refusals import NoSuchPath
from pipeline.slurm.rest.requests import (
    AccountedJob,
    CancelJob,
    GetJob,
    JobStates,
    Ping,
    ReleaseJob,
    RestRequest,
    ShowJob,
)
from pipeline.slurm.submission import Unsettled
from pipeline.transport import HttpReply
from tests.harness.rest_replies import NEW, SUBMIT

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
