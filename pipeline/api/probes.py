"""What Kubernetes and the upstream ask to know whether this downstream, and its cluster, can be used."""

from __future__ import annotations

import logging
import threading

from flask import Flask, Response, jsonify

from pipeline import __version__
from pipeline.downstream import Downstream
from pipeline.errors import DownstreamError, Unavailable
from pipeline.redaction import redact

_log = logging.getLogger(__name__)

OPEN_PATHS = {"/live", "/ready"}
"""They carry no credentials, and are answered at once whatever else is under way."""


def add_probes(app: Flask, downstream: Downstream, ending: threading.Event) -> None:
    """``/live``, ``/ready`` and ``/gc``."""
    scout = _Scout(downstream)

    @app.get("/live")
    def live() -> Response:
        return jsonify({"status": "OK"})

    @app.get("/ready")
    def ready() -> Response:
        if ending.is_set():
            raise Unavailable("this downstream is ending")
        scout.set_off()
        silence = downstream.silence()
        if silence:
            # Anybody may ask this: the reason, with its addresses, is for who may ask /gc.
            told = Unavailable("the cluster does not answer; the log and /gc say more")
            told.retry_after = silence.retry_after
            raise told
        return Response(__version__, mimetype="text/plain")

    @app.get("/gc")
    def gc() -> tuple[Response, int]:
        try:
            downstream.check()
        except DownstreamError as fault:
            _log.log(logging.WARNING if fault.retry_after is None else logging.DEBUG, "/gc: %s", fault)
            return jsonify({"status": "BAD", "error": redact(fault.message)}), 500
        return jsonify({"status": "OK"}), 200


class _Scout:
    """Looks whether the cluster answers, beside the request that has it look; one at a time.

    A service that is not ready is not asked for jobs, and one that is new may not be yet: nobody else would
    look.
    """

    def __init__(self, downstream: Downstream) -> None:
        self._downstream = downstream
        self._looking = threading.Lock()

    def set_off(self) -> None:
        """Look, if nobody does; that costs nothing while what was seen last is not old."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._look, name="looks-for-the-cluster", daemon=True).start()
        except RuntimeError as fault:  # no thread is to be had now: the next probe tries again
            self._looking.release()
            _log.warning("/ready: %s", fault)

    def _look(self) -> None:
        try:
            self._downstream.running()
        except DownstreamError as fault:
            _log.debug("/ready: %s", fault)
        finally:
            self._looking.release()
