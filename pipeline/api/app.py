"""The HTTP service that the upstream talks to: each endpoint of the contract, on Flask."""

from __future__ import annotations

import logging
import math
import threading
import time

import yaml
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from pipeline import __version__
from pipeline.api import wire
from pipeline.api.job_requests import answer_request
from pipeline.api.limits import MOST_FIELDS, Doorkeeper, SmallRequest
from pipeline.api.probes import OPEN_PATHS, add_probes
from pipeline.downstream import Downstream
from pipeline.errors import DownstreamError, NotAuthenticated, NotFound, Unavailable
from pipeline.redaction import forget_here, redact, redact_known
from pipeline.shipped import folder

_log = logging.getLogger(__name__)

MOST_BODY_BYTES = 32 * 1024 * 1024
"""A 4 MiB script as base64, inside JSON, inside a form, whose encoding may triple it."""

_RETRY_AFTER = 5
"""Seconds after which who was told 503 may try again, where nothing better is known."""


def create_app(
    downstream: Downstream,
    *,
    doorkeeper: Doorkeeper | None = None,
    at_a_time: int = 16,
    patience: float = 8.0,
    ending: threading.Event | None = None,
) -> Flask:
    """The service for one downstream, that takes no more work from when ``ending`` is set.

    ``doorkeeper`` says who comes in. ``at_a_time`` requests are worked on, others
    wait ``patience`` seconds for their turn, of the 20 s that the upstream has for a call; probes
    need none, so a slow cluster does not look like a dead service.
    """
    app = Flask("jarvice-downstream", static_folder=None)
    app.request_class = SmallRequest
    app.config["MAX_FORM_PARTS"] = MOST_FIELDS
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MOST_BODY_BYTES
    ending = ending or threading.Event()
    _refuse_at_the_end(app, ending)
    add_probes(app, downstream, ending)
    _add_descriptions(app)
    _add_jobs(app, downstream)
    _add_errors(app)
    _add_door(app, doorkeeper or Doorkeeper(""))
    _add_bound(app, threading.BoundedSemaphore(at_a_time), patience)
    app.before_request(_start_clock)
    app.teardown_request(lambda _: forget_here())
    app.after_request(_log_request)
    return app


def _refuse_at_the_end(app: Flask, ending: threading.Event) -> None:
    @app.before_request
    def refuse() -> None:
        if ending.is_set() and request.path not in OPEN_PATHS:
            raise Unavailable("this downstream is ending and takes no more requests; try again")


def _add_descriptions(app: Flask) -> None:
    @app.get("/openapi.json")
    def openapi() -> Response:
        text = (folder("schemas") / "openapi.yaml").read_text(encoding="utf-8")
        document = yaml.safe_load(text)
        document["info"]["version"] = __version__
        return jsonify(document)

    # Kubernetes' own; on a Slurm cluster there is nothing to do for them.
    @app.get("/nodes")
    def nodes() -> Response:
        return jsonify(True)

    @app.post("/online")
    def online() -> Response:
        return jsonify(True)


def _add_jobs(app: Flask, downstream: Downstream) -> None:
    @app.post("/submit")
    def submit() -> Response:
        sent = downstream.submit(wire.read_args(request.form))
        return jsonify([sent.job_id, redact_known(sent.script)])

    @app.get("/running")
    def running() -> Response:
        return jsonify(wire.job_list(downstream.running()))

    @app.get("/queued")
    def queued() -> Response:
        return jsonify(wire.job_list(downstream.queued()))

    @app.post("/runstatus")
    def runstatus() -> Response:
        ref = wire.job_ref(wire.read_args(request.form))
        try:
            return jsonify(wire.run_status(ref, downstream.status(ref)))
        except NotFound:
            return jsonify([None, None, None, None])

    @app.post("/exitstatus")
    def exitstatus() -> Response:
        ref = wire.job_ref(wire.read_args(request.form))
        return jsonify(wire.exit_status(downstream.exit_report(ref)))

    @app.post("/terminate")
    def terminate() -> Response:
        downstream.terminate(wire.job_ref(wire.read_args(request.form)))
        return jsonify(True)

    @app.post("/release")
    def release() -> Response:
        downstream.release(wire.job_ref(wire.read_args(request.form)))
        return jsonify(True)

    @app.post("/events")
    def events() -> Response:
        return jsonify(redact(downstream.events(wire.job_ref(wire.read_args(request.form)))))

    @app.post("/request/<path:path>")
    def job_request(path: str) -> Response:
        return answer_request(downstream, path, wire.read_args(request.form))


def _add_errors(app: Flask) -> None:
    @app.errorhandler(DownstreamError)
    def told(fault: DownstreamError) -> Response:
        level = logging.INFO if fault.status < 500 else logging.WARNING
        if fault.retry_after is not None:  # a circuit has told it, once for all
            level = logging.DEBUG
        about = f"{fault.job}: " if fault.job and fault.job not in request.path else ""
        _log.log(level, "%s %s: %s %s%s", request.method, request.path, fault.status, about, fault)
        answer = _error(fault.status, fault.message, fault.job, fault.retry_after)
        if isinstance(fault, NotAuthenticated):
            answer.headers["WWW-Authenticate"] = fault.challenge
        return answer

    @app.errorhandler(HTTPException)
    def http(fault: HTTPException) -> Response:
        _log.info("%s %s: %s %s", request.method, request.path, fault.code, fault.name)
        answer = _error(fault.code or 500, f"{fault.name}: {fault.description}", None)
        if isinstance(fault, MethodNotAllowed):
            answer.headers["Allow"] = ", ".join(sorted(fault.valid_methods or ()))
        return answer

    @app.errorhandler(Exception)
    def unforeseen(fault: Exception) -> Response:
        _log.error("%s: unforeseen fault", request.path, exc_info=fault)
        return _error(500, "an unforeseen fault of the downstream; its log has the details", None)


def _add_door(app: Flask, doorkeeper: Doorkeeper) -> None:
    @app.before_request
    def let_in() -> None:
        if request.path not in OPEN_PATHS:
            doorkeeper.let_in()


def _add_bound(app: Flask, places: threading.BoundedSemaphore, patience: float) -> None:
    @app.before_request
    def enter() -> None:
        if request.path in OPEN_PATHS:
            return
        if not places.acquire(timeout=patience):
            raise Unavailable("too many requests at the same time; the cluster may be slow")
        g.has_place = True

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        if g.pop("has_place", False):
            places.release()


def _error(status: int, message: str, job: str | None, retry_after: float | None = None) -> Response:
    message = redact(message)
    answer = jsonify({"error": message, "job": job} if job else {"error": message})
    answer.status_code = status
    if status in (429, 503):
        answer.headers["Retry-After"] = str(math.ceil(retry_after or _RETRY_AFTER))
    return answer


def _start_clock() -> None:
    g.begun = time.monotonic()


def _log_request(answer: Response) -> Response:
    took = (time.monotonic() - g.get("begun", time.monotonic())) * 1000
    _log.debug("%s %s %s %.1f ms", request.method, request.path, answer.status_code, took)
    return answer
