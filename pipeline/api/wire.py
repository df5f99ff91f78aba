"""The wire form: what comes in a request's ``args``, and how answers are written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.downstream import ExitReport
from pipeline.errors import InvalidRequest
from pipeline.job import JobRef, JobStatus
from pipeline.redaction import redact_known
from pipeline.shipped import schema
from pipeline.slurm.states import show_seconds

_NAME = re.compile(schema("upstream_submit")["properties"]["name"]["pattern"])
_JOB_ID = re.compile(r"[1-9][0-9]{0,9}")
_JOB_IDS = range(1, 2**32)


def read_args(form: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object in the form's one field.

    Raises:
        InvalidRequest: it is missing, or no JSON object.
    """
    text = form.get("args")
    if text is None:
        raise InvalidRequest("args: the form field is missing; it holds a JSON object")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise InvalidRequest(f"args: is not JSON ({fault})") from None
    if not isinstance(document, dict):
        raise InvalidRequest("args: is not a JSON object")
    return document


def job_ref(args: Mapping[str, Any]) -> JobRef:
    """The job that ``name``, ``number`` and ``jobid`` speak of.

    Raises:
        InvalidRequest: one is missing or not of its form; names it.
    """
    for field in ("name", "number", "jobid"):
        if field not in args:
            raise InvalidRequest(f"{field} is missing")
    return _ref(args["name"], args["number"], args["jobid"])


def ref_of_path(parts: list[str]) -> JobRef:
    """The job that the first three parts of a ``/request`` path speak of. Raises InvalidRequest."""
    return _ref(*parts)


def _ref(name: object, number: object, job_id: object) -> JobRef:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest("name: is not a job's name")
    if isinstance(number, bool) or not re.fullmatch(r"[0-9]{1,18}", str(number)):
        raise InvalidRequest("number: is not a whole number", job=name)
    if isinstance(job_id, bool) or not _JOB_ID.fullmatch(str(job_id)) or int(str(job_id)) not in _JOB_IDS:
        raise InvalidRequest("jobid: is not a job id", job=name)
    return JobRef(name, int(str(number)), str(job_id))


def query_value(args: Mapping[str, Any], key: str, default: str) -> str:
    """The first value of a key in ``qs``, an object of lists as ``parse_qs`` gives.

    Raises:
        InvalidRequest: ``qs`` is not of that form.
    """
    query = args.get("qs") or {}
    values = query.get(key, [default]) if isinstance(query, dict) else None
    if not isinstance(values, list) or not values or not isinstance(values[0], str | int):
        raise InvalidRequest(f"qs.{key}: is not a list of texts")
    value = str(values[0])
    if not value.isprintable():
        raise InvalidRequest(f"qs.{key}: holds a character that cannot be printed")
    return value


def lines_asked(args: Mapping[str, Any]) -> int:
    """``qs.lines``: 100 unless it says otherwise, 0 for all. Raises InvalidRequest."""
    text = query_value(args, "lines", "100")
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidRequest("qs.lines: is not a whole number")
    return int(text)


def job_list(jobs: list[JobStatus]) -> list[list[str]]:
    """The answer of ``/running`` and ``/queued``."""
    return [[job.name, job.job_id] for job in jobs]


def run_status(ref: JobRef, job: JobStatus) -> list[object]:
    """The answer of ``/runstatus`` for a job that is known."""
    return [list(job.nodes), show_seconds(job.elapsed), ref.path(), None]


def exit_status(report: ExitReport) -> list[object]:
    """The answer of ``/exitstatus``."""
    termination = f"<< termination state: {report.state} -- see STDOUT for job errors >>"
    return [report.status, report.elapsed, [redact_known(report.output), termination]]
