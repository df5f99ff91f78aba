"""Starting the service: settings, connector, HTTP, and an orderly end."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Mapping

from pipeline import __version__, settings
from pipeline.api import MOST_BODY_BYTES, Doorkeeper, create_app
from pipeline.bearers import Bearers, bearers_for
from pipeline.cli.http_server import HttpServer
from pipeline.cli.slow_clients import LIMITS
from pipeline.cli.start import connect, first_signal
from pipeline.connectors import Connector
from pipeline.downstream import Downstream
from pipeline.errors import DownstreamError, SettingsFault, Unavailable
from pipeline.redaction import LogLines, hook_into_python
from pipeline.settings import Settings

_log = logging.getLogger(__name__)

_WAITING = 4
"""Threads for each request that may be worked on: a burst waits in them for its turn, and probes are
answered while it does."""


def run_service(environment: Mapping[str, str]) -> None:
    """Serve until a signal ends it; what is under way then is finished, within bounds.

    Raises:
        SettingsFault: lists everything that stops the start.
    """
    chosen, connector, bearers, listener = _prepare(environment)
    settings.warn_exposed(chosen)
    downstream = Downstream(chosen, connector, bearers)
    ending = threading.Event()
    server = HttpServer(
        create_app(
            downstream,
            doorkeeper=Doorkeeper(
                chosen.server_key,
                requests_a_second=chosen.request_rate,
                wrong_logins_a_minute=chosen.wrong_logins,
            ),
            at_a_time=chosen.http_threads,
            ending=ending,
        ),
        listener,
        ending,
        threads=_WAITING * chosen.http_threads,
        max_request_body_size=2 * MOST_BODY_BYTES,  # below it Flask says so in JSON
        ident="jarvice-downstream",
        **LIMITS,
    )
    with first_signal(server.end, interrupt_too=True):
        try:
            _report(downstream, chosen)
            _report_keys(bearers, chosen)
            address, port = listener.getsockname()[:2]
            place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            _log.info("downstream %s listens on http://%s", __version__, place)
            server.serve(chosen.stop_timeout)
        finally:
            downstream.close()
            _log.info("downstream ended")


def _prepare(environment: Mapping[str, str]) -> tuple[Settings, Connector, Bearers, socket.socket]:
    """Settings, connector, what verifies bearers, and listener, or all that is wrong with any of them."""
    reading = settings.read(environment)
    chosen = reading.settings
    start_logging(chosen.loglevel)
    settings.warn_unknown(environment)
    connector, faults = connect(reading, chosen)
    faults += settings.exposure_faults(reading)
    bearers = None
    try:
        bearers = bearers_for(chosen)
    except SettingsFault as fault:
        faults += fault.faults
    try:
        listener = _listener(chosen)
    except SettingsFault as fault:
        faults += fault.faults
    if faults or not connector or not bearers:
        raise SettingsFault(faults)
    return chosen, connector, bearers, listener


def start_logging(level: int) -> None:
    """Log to standard error, without secrets; libraries speak up only when something is wrong."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(LogLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[lines])
    hook_into_python()
    for library in ("paramiko", "waitress.queue", "urllib3", "werkzeug"):
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    # Each connection that fails is told by our own error already; paramiko adds a traceback.
    logging.getLogger("paramiko.transport").setLevel(logging.CRITICAL)


def _listener(chosen: Settings) -> socket.socket:
    try:
        is_v6 = ":" in chosen.bind_address
        return socket.create_server(
            (chosen.bind_address, chosen.port),
            family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            dualstack_ipv6=is_v6 and socket.has_dualstack_ipv6(),  # :: is every address, also of IPv4
            backlog=1024,
        )
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


def _report_keys(bearers: Bearers, chosen: Settings) -> None:
    """Say at the start how tokens are verified, and whether the keys for it are there."""
    if not chosen.verifies_bearers:
        return
    _log.info(
        "bearer tokens are verified; iss must be %s, aud %s",
        chosen.bearer_issuer or "anything",
        " or ".join(chosen.bearer_audience) or "anything",
    )
    with contextlib.suppress(Unavailable):  # told already; the service starts all the same
        bearers.check()
