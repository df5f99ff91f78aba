"""waitress, with an end that loses nothing: what is under way has its reply, what comes later is told so."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

from pipeline.cli.slow_clients import WholeRequests

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_log = logging.getLogger(__name__)

_LOOK = 1.0
"""Seconds between two looks at whether the end has come, while nothing else happens."""

_LOOK_AT_THE_END = 0.05
"""The same when it has been told, and is waited for."""


class HttpServer:
    """Serves an application on a listening socket until it is told to end.

    waitress itself stops reading and writing first, and then waits for its threads: what they answer
    would reach nobody. So this goes on until all that was under way is answered and sent.
    """

    def __init__(
        self, application: WSGIApplication, listener: socket.socket, ending: threading.Event, **options: Any
    ) -> None:
        """The application has to refuse what comes after ``ending``; ``options`` are waitress' own."""
        self._ending = ending
        self._sockets: dict[int, Any] = {}
        self._server = cast(
            "Any", create_server(application, map=self._sockets, sockets=[listener], **options)
        )
        self._server.channel_class = _channel_that_ends(ending)

    def end(self) -> None:
        """Take no more work, and end when there is none left; may be called from a signal handler."""
        if not self._ending.is_set():
            # In this order: once a loop in another thread knows of the end, the trigger may be closed.
            # If it looks between these two, it sees the end at its next look.
            self._server.pull_trigger()
            self._ending.set()

    def serve(self, seconds: float) -> None:
        """Serve to the end; what takes more than these seconds after it was told to end is cut off."""
        while not self._ending.is_set():
            self._turn(_LOOK)
        deadline = time.monotonic() + seconds
        while (busy := self._busy()) and time.monotonic() < deadline:
            self._turn(_LOOK_AT_THE_END)
        if busy:
            _log.warning("the end: %d requests are not done after %g s and are cut off", busy, seconds)
        wasyncore.close_all(self._sockets)

    def _turn(self, seconds: float) -> None:
        """Read and write what there is, or wait for it so long."""
        wasyncore.loop(timeout=seconds, map=self._sockets, count=1, use_poll=True)

    def _busy(self) -> int:
        """Connections whose requests are not done, or whose replies are not sent."""
        return sum(
            bool(channel.requests or channel.total_outbufs_len)
            for channel in list(self._server.active_channels.values())
        )


def _channel_that_ends(ending: threading.Event) -> type[HTTPChannel]:
    class Task(WSGITask):
        """No client shall send its next request on a connection that is about to go."""

        def build_response_header(self) -> bytes:
            """As if the client had asked for the end of the connection: waitress says so, and does it."""
            if ending.is_set():
                cast("Any", self.request).headers["CONNECTION"] = "close"
            return super().build_response_header()

    class Channel(WholeRequests):
        task_class = Task

    return Channel
