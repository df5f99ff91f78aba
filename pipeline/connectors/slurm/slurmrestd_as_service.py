"""slurmrestd, asked with the service token: its faults are this downstream's, not the caller's."""

from __future__ import annotations

from typing import TypeVar

from pipeline.connectors.slurm.slurmrestd import Slurmrestd
from pipeline.errors import NotAllowed, NotAuthenticated, Unavailable
from pipeline.identity import Owner
from pipeline.settings.token import Token, TokenFile
from pipeline.slurm.rest.records import JobRecord
from pipeline.slurm.rest.refusals import NoSuchPath
from pipeline.slurm.rest.requests import JobStates, Ping, RestRequest
from pipeline.transport.http import AnswerLost

_Answer = TypeVar("_Answer")

_TOO_OLD = "v0.0.38"
"""Has no jobs/state; and its ping, which wants the name of the token's user, would hide that."""


class _Unfit(Unavailable):
    """slurmrestd does not know a path."""

    def __init__(self) -> None:
        super().__init__(
            "slurmrestd does not know what managing jobs needs (jobs/state, of Slurm 24.05 and newer), "
            "or has changed its versions; without JARVICE_SLURM_SERVICE_TOKEN jobs are managed over SSH"
        )


class SlurmrestdAsService:
    """Asks as the user of ``JARVICE_SLURM_SERVICE_TOKEN``. Safe for any number of threads."""

    def __init__(self, api: Slurmrestd, token: Token | TokenFile) -> None:
        self._api = api
        self._token = token

    def ask(self, request: RestRequest[_Answer]) -> _Answer:
        """Send a request.

        Raises:
            Unavailable: the token is not accepted or may not do this, slurmrestd is too old, or the answer
                got lost.
            DownstreamError: as the request's answer does.
        """
        service = self._service()
        try:
            return self._api.ask(request, service)
        except NotAuthenticated as fault:
            raise Unavailable(f"JARVICE_SLURM_SERVICE_TOKEN is not accepted: {fault.message}") from None
        except NotAllowed as fault:
            raise Unavailable(
                f"the user of JARVICE_SLURM_SERVICE_TOKEN may not do this: {fault.message}"
            ) from None
        except NoSuchPath:
            raise _Unfit from None
        except AnswerLost as lost:
            raise Unavailable(str(lost)) from None

    def accounted(self, request: RestRequest[list[JobRecord]]) -> list[JobRecord]:
        """Accounting's records; none on a cluster without it, whose slurmrestd has no paths for it."""
        version = self._api.version()
        try:
            return self.ask(request)
        except _Unfit:
            if self._api.version() != version:
                raise
            return []

    def check(self) -> None:
        """Raises Unavailable when slurmctld does not know this token, or slurmrestd lacks what polls need."""
        if self._api.version() <= _TOO_OLD:
            raise _Unfit
        self.ask(Ping())
        self.ask(JobStates(only="1"))

    def _service(self) -> Owner:
        try:
            return Owner("", token=self._token.current())
        except (OSError, ValueError) as fault:
            raise Unavailable(f"JARVICE_SLURM_SERVICE_TOKEN_FILE cannot be read: {fault}") from None
