"""``/request/PATH``: what the upstream asks of one job, ``name/number/jobid/METHOD``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, jsonify

from pipeline.api import wire
from pipeline.downstream import Downstream
from pipeline.errors import InvalidRequest, NotFound
from pipeline.job import JobRef
from pipeline.redaction import redact_known

_LONGEST_PATH = 4096
"""Linux opens none that has as many bytes."""

_Method = Callable[[Downstream, JobRef, Mapping[str, Any]], Response]


def answer_request(downstream: Downstream, path: str, args: Mapping[str, Any]) -> Response:
    """The answer to one request. Raises NotFound for a method that is not known."""
    parts = path.strip("/").split("/")
    if parts == ["pvcls"]:
        return _pvcls(downstream, None, args)
    if len(parts) not in (3, 4):
        raise NotFound(f"/request/{path}: is not name/number/jobid/METHOD")
    ref = wire.ref_of_path(parts[:3])
    if len(parts) == 3:
        return Response()  # the upstream really sends this
    try:
        method = _METHODS[parts[3]]
    except KeyError:
        raise NotFound(f"/request: there is no method {parts[3]!r}", job=ref.name) from None
    return method(downstream, ref, args)


def _ping(downstream: Downstream, ref: JobRef, args: Mapping[str, Any]) -> Response:
    downstream.status(ref)
    return Response()


def _info(downstream: Downstream, ref: JobRef, args: Mapping[str, Any]) -> Response:
    downstream.status(ref)
    return jsonify({"about": "", "help": "", "url": "", "actions": {}})


def _tail(downstream: Downstream, ref: JobRef, args: Mapping[str, Any]) -> Response:
    return Response(redact_known(downstream.tail(ref, wire.lines_asked(args))), mimetype="text/plain")


def _terminate(downstream: Downstream, ref: JobRef, args: Mapping[str, Any]) -> Response:
    downstream.terminate(ref)
    return Response()


def _connect(downstream: Downstream, ref: JobRef, args: Mapping[str, Any]) -> Response:
    raise NotFound("a batch job has nothing to connect to", job=ref.name)


def _screenshot(downstream: Downstream, ref: JobRef, args: Mapping[str, Any]) -> Response:
    raise NotFound("there is no screenshot of this job", job=ref.name)


def _pvcls(downstream: Downstream, ref: JobRef | None, args: Mapping[str, Any]) -> Response:
    details = wire.query_value(args, "details", "false").lower() == "true"
    path = wire.query_value(args, "path", "/")
    if not path.startswith("/"):
        raise InvalidRequest("qs.path: is not an absolute path")
    if len(path) > _LONGEST_PATH:
        raise InvalidRequest(f"qs.path: is longer than {_LONGEST_PATH} characters")
    return Response(redact_known(downstream.listing(path, details, ref)), mimetype="text/plain")


_METHODS: Mapping[str, _Method] = {
    "ping": _ping,
    "info": _info,
    "tail": _tail,
    "shutdown": _terminate,
    "abort": _terminate,
    "connect": _connect,
    "screenshot": _screenshot,
    "pvcls": _pvcls,
}
