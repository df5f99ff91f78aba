"""Starting the service: settings, connector, HTTP, and an orderly end."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Mapping

import waitress

from pipeline import __version__, settings
from pipeline.api import MOST_BODY_BYTES, create_app
from pipeline.cli.start import connect, ending_on_signals
from pipeline.connectors import Connector
from pipeline.downstream import Downstream
from pipeline.errors import DownstreamError, SettingsFault
from pipeline.settings import Settings

_log = logging.getLogger(__name__)

_WAITING = 4
"""Threads for each request that may be worked on: a burst waits in them for its turn, and probes are
answered while it does."""


def run_service(environment: Mapping[str, str]) -> None:
    """Serve until a signal ends it.

    Raises:
        SettingsFault: lists everything that stops the start.
    """
    chosen, connector, listener = _prepare(environment)
    settings.warn_exposed(chosen)
    downstream = Downstream(chosen, connector)
    _report(downstream, chosen)
    with ending_on_signals(SystemExit):
        try:
            _log.info(
                "downstream %s listens on http://%s:%s",
                __version__, *listener.getsockname()[:2],
            )  # fmt: skip
            waitress.serve(
                create_app(
                    downstream,
                    server_key=chosen.server_key,
                    at_a_time=chosen.http_threads,
                ),
                sockets=[listener],
                threads=_WAITING * chosen.http_threads,
                max_request_body_size=2 * MOST_BODY_BYTES,  # below it Flask says so in JSON
                ident="jarvice-downstream",
            )
        finally:
            downstream.close()
            _log.info("downstream ended")


def _prepare(environment: Mapping[str, str]) -> tuple[Settings, Connector, socket.socket]:
    """Settings, connector and listener, or all that is wrong with any of them."""
    reading = settings.read(environment)
    chosen = reading.settings
    start_logging(chosen.loglevel)
    settings.warn_unknown(environment)
    connector, faults = connect(reading, chosen)
    try:
        listener = _listener(chosen)
    except SettingsFault as fault:
        faults += fault.faults
    if faults or not connector:
        raise SettingsFault(faults)
    return chosen, connector, listener


def start_logging(level: int) -> None:
    """Log to standard error; libraries speak up only when something is wrong."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for library in ("paramiko", "waitress.queue", "urllib3", "werkzeug"):
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    # Each connection that fails is told by our own error already; paramiko adds a traceback.
    logging.getLogger("paramiko.transport").setLevel(logging.CRITICAL)


def _listener(chosen: Settings) -> socket.socket:
    try:
        return socket.create_server((chosen.bind_address, chosen.port), backlog=1024)
    except OSError as fault:
        raise SettingsFault(
            [
                f"WAITRESS_BIND_ADDRESS, WAITRESS_PORT: cannot listen on "
                f"{chosen.bind_address} port {chosen.port}: {fault.strerror or fault}"
            ]
        ) from None


def _report(downstream: Downstream, chosen: Settings) -> None:
    """Say at the start whether the cluster answers; the service starts in either case."""
    try:
        downstream.check()
    except DownstreamError as fault:
        _log.warning("the cluster cannot be used now: %s", fault)
    else:
        _log.info("the cluster answers (connector %s)", chosen.connector)
