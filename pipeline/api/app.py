"""The HTTP service that the upstream talks to: each endpoint of the contract, on Flask."""

from __future__ import annotations

import hmac
import logging
import threading
import time

import yaml
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from pipeline import __version__
from pipeline.api import wire
from pipeline.api.job_requests import answer_request
from pipeline.downstream import Downstream
from pipeline.errors import DownstreamError, NotAuthenticated, NotFound, Unavailable
from pipeline.shipped import folder

_log = logging.getLogger(__name__)

MOST_BODY_BYTES = 32 * 1024 * 1024
"""A 4 MiB script as base64, inside JSON, inside a form, whose encoding may triple it."""

_OPEN_PATHS = {"/live", "/ready"}
"""Kubernetes probes carry no credentials."""


def create_app(
    downstream: Downstream, *, server_key: str = "", at_a_time: int = 16, patience: float = 8.0
) -> Flask:
    """The service for one downstream.

    ``server_key`` is ``<user>:<password>`` or empty. ``at_a_time`` requests are worked on, others
    wait ``patience`` seconds for their turn, of the 20 s that the upstream has for a call; probes
    need none, so a slow cluster does not look like a dead service.
    """
    app = Flask("jarvice-downstream", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MOST_BODY_BYTES
    _add_probes(app, downstream)
    _add_jobs(app, downstream)
    _add_errors(app)
    if server_key:
        app.before_request(lambda: _authenticate(server_key))
    _add_bound(app, threading.BoundedSemaphore(at_a_time), patience)
    app.before_request(_start_clock)
    app.after_request(_log_request)
    return app


def _add_probes(app: Flask, downstream: Downstream) -> None:
    @app.get("/live")
    def live() -> Response:
        return jsonify({"status": "OK"})

    @app.get("/ready")
    def ready() -> Response:
        return Response(__version__, mimetype="text/plain")

    @app.get("/gc")
    def gc() -> tuple[Response, int]:
        try:
            downstream.check()
        except DownstreamError as fault:
            _log.warning("/gc: %s", fault)
            return jsonify({"status": "BAD", "error": fault.message}), 500
        return jsonify({"status": "OK"}), 200

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
        return jsonify([sent.job_id, sent.script])

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
        return jsonify(downstream.events(wire.job_ref(wire.read_args(request.form))))

    @app.post("/request/<path:path>")
    def job_request(path: str) -> Response:
        return answer_request(downstream, path, wire.read_args(request.form))


def _add_errors(app: Flask) -> None:
    @app.errorhandler(DownstreamError)
    def told(fault: DownstreamError) -> Response:
        level = logging.INFO if fault.status < 500 else logging.WARNING
        about = f"{fault.job}: " if fault.job and fault.job not in request.path else ""
        _log.log(level, "%s %s: %s %s%s", request.method, request.path, fault.status, about, fault)
        return _error(fault.status, fault.message, fault.job)

    @app.errorhandler(HTTPException)
    def http(fault: HTTPException) -> Response:
        _log.info("%s %s: %s %s", request.method, request.path, fault.code, fault.name)
        return _error(fault.code or 500, f"{fault.name}: {fault.description}", None)

    @app.errorhandler(Exception)
    def unforeseen(fault: Exception) -> Response:
        _log.error("%s: unforeseen fault", request.path, exc_info=fault)
        return _error(500, "an unforeseen fault of the downstream; its log has the details", None)


def _add_bound(app: Flask, places: threading.BoundedSemaphore, patience: float) -> None:
    @app.before_request
    def enter() -> None:
        if request.path in _OPEN_PATHS:
            return
        if not places.acquire(timeout=patience):
            raise Unavailable("too many requests at the same time; the cluster may be slow")
        g.has_place = True

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        if g.pop("has_place", False):
            places.release()


def _error(status: int, message: str, job: str | None) -> Response:
    answer = jsonify({"error": message, "job": job} if job else {"error": message})
    answer.status_code = status
    if status == NotAuthenticated.status:
        answer.headers["WWW-Authenticate"] = 'Basic realm="downstream"'
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _authenticate(server_key: str) -> None:
    """HTTP Basic with the one login that the upstream knows. Raises NotAuthenticated."""
    if request.path in _OPEN_PATHS:
        return
    try:
        given = request.authorization
    except ValueError:  # Werkzeug, of base64 that is not even ASCII
        given = None
    sent = f"{given.username}:{given.password}" if given and given.type == "basic" else ""
    if not hmac.compare_digest(sent.encode("utf-8"), server_key.encode("utf-8")):
        raise NotAuthenticated("HTTP Basic credentials as in JARVICE_SCHED_SERVER_KEY are needed")


def _start_clock() -> None:
    g.begun = time.monotonic()


def _log_request(answer: Response) -> Response:
    took = (time.monotonic() - g.get("begun", time.monotonic())) * 1000
    _log.debug("%s %s %s %.1f ms", request.method, request.path, answer.status_code, took)
    return answer
