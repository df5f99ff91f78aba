"""One slurmrestd: which version of its API is spoken, who asks, and over which way."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from pipeline.circuit import Circuit
from pipeline.errors import Unavailable, Unreachable
from pipeline.identity import Owner
from pipeline.settings import Settings
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.rest.refusals import GATEWAY, NoSuchPath
from pipeline.slurm.rest.requests import Ping, RestRequest, headers
from pipeline.slurm.submission import Unheard
from pipeline.transport import Limits
from pipeline.transport.http import AnswerLost, HttpRequest, HttpTransport
from pipeline.transport.ssh import Tunnel
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

_NOBODY = {"X-SLURM-USER-NAME": "nobody", "X-SLURM-USER-TOKEN": "none"}
"""Asks which versions there are. slurmrestd wants a token for that, and does not look at it."""

_ACCOUNTING = "/slurmdb/"
"""What is asked of slurmdbd, and not of slurmctld."""

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
        self._circuit = Circuit(f"slurmrestd at {self.url}", silences=(Unreachable, AnswerLost, Unheard))
        """For it and for slurmctld behind it: neither is of use without the other."""
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
            Unreachable: slurmrestd, or slurmctld through it, has not answered of late: nothing is sent.
            AnswerLost: it can be done or not; never for a GET.
            NoSuchPath: slurmrestd does not serve this version any more; ask for ``version`` again.
            DownstreamError: as the request's answer does.
        """
        version = version or self.version()
        path = request.path(version)
        asked = HttpRequest(
            request.method,
            path,
            headers(version, asker),
            request.body(),
            repeatable=request.method == "GET",
        )
        try:
            if path.startswith(_ACCOUNTING):
                return request.parse(self._http.ask(asked, self._limits), version)
            with self._circuit.call():
                return request.parse(self._http.ask(asked, self._limits), version)
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
        with self._circuit.call(conclusive=False):  # who may not be anybody is not let through to slurmctld
            status = self._http.ask(request, self._limits).status
            if status in _NOT_FROM_IT:
                raise Unreachable(f"{self.url}: HTTP {status} instead of slurmrestd's answer")
            return status
