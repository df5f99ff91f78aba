"""Connections that bring their requests too slowly, as who wants to keep others out does."""

from __future__ import annotations

from typing import Any

from waitress.channel import HTTPChannel

LIMITS: dict[str, Any] = {
    "max_request_header_size": 32 * 1024,
    "connection_limit": 500,
    "channel_timeout": 120,
    "cleanup_interval": 10,
}
"""waitress' own: bytes of a request's header, connections at a time, seconds without a byte until one is
closed, and between two looks for those."""


class WholeRequests(HTTPChannel):
    """Is closed when a request has not come as a whole within ``channel_timeout``.

    waitress alone lets a client begin that time anew with each byte.
    """

    _begun = 0.0

    def handle_read(self) -> None:
        """Take what has come; the time of a request counts from its first byte."""
        super().handle_read()
        if self.request is None:
            self._begun = 0.0
            return
        self._begun = self._begun or self.last_activity
        self.last_activity = self._begun
