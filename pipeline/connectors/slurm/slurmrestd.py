"""One slurmrestd: which version of its API is spoken, who asks, and over which way."""

from __future__ import annotations

import logging
import threading
import time
from typing import TypeVar

from pipeline.errors import Unavailable
from pipeline.identity import Owner
from pipeline.settings import Settings
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.rest.refusals import NoSuchPath
from pipeline.slurm.rest.requests import Ping, RestRequest, headers
from pipeline.transport import Limits
from pipeline.transport.http import AnswerLost, HttpRequest, HttpTransport
from pipeline.transport.ssh import Tunnel

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_NOBODY = {"X-SLURM-USER-NAME": "nobody", "X-SLURM-USER-TOKEN": "none"}
"""Asks which versions there are. slurmrestd wants a token for that, and does not look at it."""

_NOT_SERVED = 404
_GATEWAY = (502, 503, 504)
"""From a proxy in front of it: slurmrestd itself answers a ping with 200, or 500 in 22.05."""


class Slurmrestd:
    """Asks slurmrestd. Safe for any number of threads."""

    def __init__(self, settings: Settings, tunnel: Tunnel | None) -> None:
        """``tunnel`` leads to it; without one it is asked straight."""
        self.url = f"{settings.slurmrestd_addr}:{settings.slurmrestd_port}"
        wanted = settings.slurmrestd_api_version
        self._wanted = wanted if wanted not in ("", "auto") else None
        self._limits = Limits(settings.command_timeout)
        self._version: str | None = None
        self._failed: tuple[float, Unavailable | None] = (float("-inf"), None)
        self._choosing = threading.Lock()
        self._tunnel = tunnel
        self._http = HttpTransport(
            self.url,
            connections=settings.http_threads,
            connect_timeout=settings.ssh_connect_timeout,
            ca_file=settings.slurmrestd_ca_file,
            through=tunnel.open if tunnel else None,
        )

    def version(self) -> str:
        """The version of the API that is spoken: the one that is set, or the newest that both know.

        Raises:
            Unavailable: slurmrestd cannot be asked, or does not serve it.
        """
        version, asked = self._version, time.monotonic()
        if version:
            return version
        # One asks; the others wait no longer than for an answer of their own, and share its failure.
        if not self._choosing.acquire(timeout=self._limits.seconds):
            raise Unavailable(f"slurmrestd at {self.url}: which versions it serves is not known yet")
        try:
            return self._version or self._choose_since(asked)
        finally:
            self._choosing.release()

    def ask(self, request: RestRequest[_Answer], asker: Owner, version: str | None = None) -> _Answer:
        """Send a request in the version that is spoken.

        Raises:
            AnswerLost: it can be done or not; never for a GET.
            NoSuchPath: slurmrestd does not serve this version any more; ask for ``version`` again.
            DownstreamError: as the request's answer does.
        """
        version = version or self.version()
        try:
            reply = self._http.ask(
                HttpRequest(
                    request.method,
                    request.path(version),
                    headers(version, asker),
                    request.body(),
                    repeatable=request.method == "GET",
                ),
                self._limits,
            )
            return request.parse(reply, version)
        except NoSuchPath:
            self._version = None
            raise

    def check(self) -> None:
        """Raises Unavailable when slurmrestd does not answer.

        Without a token it says no at once, and does not bother slurmctld.
        """
        version = self.version()
        self._http.ask(HttpRequest("GET", Ping().path(version), {}, repeatable=True), self._limits)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._tunnel:
            self._tunnel.close()

    def _choose_since(self, asked: float) -> str:
        failed_at, fault = self._failed
        if fault and failed_at > asked:
            raise fault.again()
        try:
            self._version = version = self._choose()
        except Unavailable as fault:
            self._failed = (time.monotonic(), fault.again())
            raise
        _log.info("slurmrestd at %s: API %s", self.url, version)
        return version

    def _choose(self) -> str:
        if self._wanted:
            if self._serves(self._wanted):
                return self._wanted
            served = [version for version in API_VERSIONS if self._serves(version)]
            raise Unavailable(
                f"JARVICE_SLURMRESTD_API_VERSION: slurmrestd at {self.url} does not serve {self._wanted}; "
                f"of those that this downstream speaks it serves {', '.join(served) or 'none'}"
            )
        newest = next((version for version in API_VERSIONS if self._serves(version)), None)
        if newest is None:
            raise Unavailable(
                f"slurmrestd at {self.url} serves none of the API versions that this downstream speaks, "
                f"{API_VERSIONS[-1]} to {API_VERSIONS[0]}"
            )
        return newest

    def _serves(self, version: str) -> bool:
        try:
            reply = self._http.ask(
                HttpRequest("GET", Ping().path(version), _NOBODY, repeatable=True), self._limits
            )
        except AnswerLost as lost:  # not for a GET
            raise Unavailable(str(lost)) from None
        if reply.status in _GATEWAY:
            raise Unavailable(f"{self.url}: HTTP {reply.status} instead of slurmrestd's answer")
        return reply.status != _NOT_SERVED
