"""One slurmrestd: which version of its API is spoken, who asks, and over which way."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from pipeline.errors import Unavailable
from pipeline.identity import Owner
from pipeline.settings import Settings
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.rest.refusals import GATEWAY, NoSuchPath
from pipeline.slurm.rest.requests import Ping, RestRequest, headers
from pipeline.transport import Limits
from pipeline.transport.http import HttpRequest, HttpTransport
from pipeline.transport.ssh import Tunnel
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_NOBODY = {"X-SLURM-USER-NAME": "nobody", "X-SLURM-USER-TOKEN": "none"}
"""Asks which versions there are. slurmrestd wants a token for that, and does not look at it."""

_NOT_SERVED = 404
_NOT_FROM_IT = (*range(300, 400), 429, *GATEWAY)
"""A ping's status from a proxy in front of it: its own is 200, 500 in 22.05, or 401 without a token."""


class Slurmrestd:
    """Asks slurmrestd. Safe for any number of threads."""

    def __init__(self, settings: Settings, tunnel: Tunnel | None) -> None:
        """``tunnel`` leads to it; without one it is asked straight."""
        self.url = f"{settings.slurmrestd_addr}:{settings.slurmrestd_port}"
        wanted = settings.slurmrestd_api_version
        self._wanted = wanted if wanted not in ("", "auto") else None
        self._limits = Limits(settings.command_timeout)
        self._version: str | None = None
        self._choosing = OneForAll()
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
        version = self._version
        if version:
            return version
        not_known = f"slurmrestd at {self.url}: which versions it serves is not known yet"
        with self._choosing.turn(not_known, self._limits.seconds):
            version = self._version
            if not version:
                self._version = version = self._choose()
                _log.info("slurmrestd at %s: API %s", self.url, version)
            return version

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
        self._ping(self.version(), {})

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._tunnel:
            self._tunnel.close()

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
        return self._ping(version, _NOBODY) != _NOT_SERVED

    def _ping(self, version: str, asker: Mapping[str, str]) -> int:
        """The status of slurmrestd's answer. Raises Unavailable when it is not slurmrestd that answers."""
        request = HttpRequest("GET", Ping().path(version), asker, repeatable=True)
        status = self._http.ask(request, self._limits).status
        if status in _NOT_FROM_IT:
            raise Unavailable(f"{self.url}: HTTP {status} instead of slurmrestd's answer")
        return status
