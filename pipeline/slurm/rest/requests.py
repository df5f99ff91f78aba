"""slurmrestd's requests: each one's path and the reading of its answer, side by side.

Source: slurmrestd's OpenAPI documents, and what slurmrestd of Slurm 22.05, 24.11 and 26.05 really answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar
from urllib.parse import urlencode

from pipeline.errors import Nonsense, NotFound, Unavailable, Unreachable
from pipeline.identity import Owner
from pipeline.slurm.commands import REMEMBERED_DAYS, our_name
from pipeline.slurm.rest.records import JobRecord, read_accounted, read_job, read_state
from pipeline.slurm.rest.refusals import RestError, document, errors_of, fault, fault_of, objects
from pipeline.slurm.states import BASE_STATES
from pipeline.slurm.submission import Unheard, Unsettled
from pipeline.transport import HttpReply

Answer_co = TypeVar("Answer_co", covariant=True)

_OVER = (2017, 2021)
"""Error codes of a job that cannot be ended: it is not there, it has ended."""


class RestRequest(Protocol[Answer_co]):
    """What is asked, in any version of the API, and what its reply means."""

    @property
    def method(self) -> str:
        """The HTTP method; ``GET`` can be repeated without harm."""
        ...

    def path(self, version: str) -> str:
        """The path in this version."""
        ...

    def body(self) -> bytes:
        """JSON, or nothing."""
        ...

    def parse(self, reply: HttpReply, version: str) -> Answer_co:
        """The answer. Raises a ``DownstreamError`` where the reply is none."""
        ...


def headers(version: str, asker: Owner) -> dict[str, str]:
    """Who asks. slurmrestd of 22.05 wants the user's name too; later ones know it from the token."""
    found = {
        "X-SLURM-USER-TOKEN": asker.token,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    if version <= "v0.0.38":
        found["X-SLURM-USER-NAME"] = asker.user
    return found


class _WithoutBody:
    """A request that says all in its path."""

    def body(self) -> bytes:
        """Nothing."""
        return b""


@dataclass(frozen=True)
class SubmitJob:
    """Post a payload. It is not repeatable: each one makes a job."""

    payload: bytes = field(repr=False)
    method: ClassVar[str] = "POST"

    def path(self, version: str) -> str:
        """The path in this version."""
        return f"/slurm/{version}/job/submit"

    def body(self) -> bytes:
        """The payload."""
        return self.payload

    def parse(self, reply: HttpReply, version: str) -> str:
        """The job's id. With an id the job was accepted, whatever the status and ``errors`` say.

        A held job comes with error 2042, and a word that only slurmrestd does not know with status 500.

        Raises:
            Unsettled: the job may have been accepted or not.
            NotAuthenticated, NotAllowed, Refused: it was not, in Slurm's own words.
        """
        try:
            job_id = _job_id(reply)
            if job_id:
                return job_id
            raise fault(reply, "slurmrestd", version)
        except Unreachable as silence:
            raise Unheard(silence.message) from None
        except (Nonsense, Unavailable) as unknown:
            raise Unsettled(unknown.message) from None


@dataclass(frozen=True)
class JobStates(_WithoutBody):
    """The state of every job that slurmctld knows. Slurm 24.05 and newer have it.

    For 10,000 jobs it takes 0.2 s, where ``GET jobs`` takes 10 s and has slurmrestd keep 1.5 GB.
    """

    only: str = ""
    """A job id; empty asks for all."""
    method: ClassVar[str] = "GET"

    def path(self, version: str) -> str:
        """The path in this version."""
        return f"/slurm/{version}/jobs/state" + (f"?job_id={self.only}" if self.only else "")

    def parse(self, reply: HttpReply, version: str) -> dict[str, str]:
        """Job id to state. Tasks of arrays, whose ids are no numbers, are left out: none is ours."""
        jobs = _jobs(reply, "slurmrestd: jobs/state", version)
        try:
            states = {str(job["job_id"]): read_state(job["state"]) for job in jobs}
        except (KeyError, TypeError, ValueError) as broken:
            raise Nonsense(f"slurmrestd: cannot read its jobs/state: {broken}") from None
        return {job_id: state for job_id, state in states.items() if job_id.isdecimal()}


@dataclass(frozen=True)
class _OneJob(_WithoutBody):
    job_id: str
    method: ClassVar[str] = "GET"

    def path(self, version: str) -> str:
        """The path in this version."""
        return f"/slurm/{version}/job/{self.job_id}"


@dataclass(frozen=True)
class GetJob(_OneJob):
    """One job that slurmctld knows."""

    prefix: str = ""
    """Of the names that are of interest; empty: all are."""

    def parse(self, reply: HttpReply, version: str) -> JobRecord | None:
        """The job; None when its name has another prefix: nothing else of it is read then.

        Raises:
            NotFound: slurmctld does not know it, does not know it any more, or hides it.
        """
        job = _one_job(reply, self.job_id, version)
        if self.prefix and our_name(str(job.get("name")), self.prefix) is None:
            return None
        return read_job(job)


class ShowJob(_OneJob):
    """All that slurmctld says of a job."""

    def parse(self, reply: HttpReply, version: str) -> str:
        """Its record as indented JSON, without what is not set."""
        job = _one_job(reply, self.job_id, version)
        try:
            return json.dumps(_set(job), indent=2) + "\n"
        except RecursionError:
            raise Nonsense(f"slurmrestd: what it says of job {self.job_id} is nested too deeply") from None


@dataclass(frozen=True)
class AccountedName(_WithoutBody):
    """The accounting records of a Slurm job name, of the last days; as ``BASE_STATES`` says."""

    slurm_name: str
    method: ClassVar[str] = "GET"

    def path(self, version: str) -> str:
        """The path in this version."""
        wanted = {
            "job_name": self.slurm_name,
            "start_time": f"now-{REMEMBERED_DAYS}days",
            "end_time": "now+1days",
            "state": BASE_STATES,
        }
        return f"/slurmdb/{version}/jobs?{urlencode(wanted, doseq=True)}"

    def parse(self, reply: HttpReply, version: str) -> list[JobRecord]:
        """The records, oldest first."""
        try:
            jobs = _jobs(reply, f"slurmrestd: accounting of {self.slurm_name}", version)
        except NotFound:
            return []
        return [read_accounted(job) for job in jobs if job.get("name") == self.slurm_name]


@dataclass(frozen=True)
class AccountedJob(_WithoutBody):
    """The accounting records of one job id, which can have been used before."""

    job_id: str
    method: ClassVar[str] = "GET"

    def path(self, version: str) -> str:
        """The path in this version."""
        return f"/slurmdb/{version}/job/{self.job_id}"

    def parse(self, reply: HttpReply, version: str) -> list[JobRecord]:
        """The records, oldest first; none for an id that accounting does not know."""
        try:
            jobs = _jobs(reply, f"slurmrestd: accounting of job {self.job_id}", version)
        except NotFound:
            return []
        return [read_accounted(job) for job in jobs]


class CancelJob(_OneJob):
    """End a job. Up to v0.0.41 the answer is 200 whatever happened: look at the job's state after it."""

    method: ClassVar[str] = "DELETE"

    def parse(self, reply: HttpReply, version: str) -> None:
        """Raises what Slurm said, as far as it says anything; an ended or unknown job is no error."""
        doing = f"slurmrestd: cancelling job {self.job_id}"
        if reply.status != 200 or errors_of(document(reply)):
            raise fault(reply, doing, version)
        for each in objects(document(reply), "status"):
            error = each.get("error") or {}
            if not isinstance(error, dict):
                raise Nonsense(f"{doing}: HTTP {reply.status} with an error that is {error!r}")
            code = error.get("code")
            if code not in (0, None, *_OVER):
                said = RestError(code if isinstance(code, int) else 0, str(error.get("string") or code))
                raise fault_of([said], doing, version, reply.status)


class ReleaseJob(_OneJob):
    """Release a held job."""

    method: ClassVar[str] = "POST"

    def body(self) -> bytes:
        """What becomes of it."""
        return b'{"hold":false}'

    def parse(self, reply: HttpReply, version: str) -> None:
        """Raises what Slurm said."""
        if reply.status != 200 or errors_of(document(reply)):
            raise fault(reply, f"slurmrestd: releasing job {self.job_id}", version)


@dataclass(frozen=True)
class Ping(_WithoutBody):
    """Whether slurmctld answers who asks. slurmrestd says 200 in either case."""

    method: ClassVar[str] = "GET"

    def path(self, version: str) -> str:
        """The path in this version."""
        return f"/slurm/{version}/ping"

    def parse(self, reply: HttpReply, version: str) -> None:
        """Raises Unavailable when no slurmctld answers."""
        if reply.status != 200:
            raise fault(reply, "slurmrestd: ping", version)
        pings = objects(document(reply), "pings")
        if not any(_is_up(ping) for ping in pings):
            said = "; ".join(
                f"{ping.get('hostname')} {ping.get('status') or ping.get('pinged')}" for ping in pings
            )
            raise Unavailable(f"slurmrestd: slurmctld does not answer ({said}), or not who has this token")


def _is_up(ping: dict[str, Any]) -> bool:
    """v0.0.42 and newer say ``responding``, older ones ``pinged``, and v0.0.38 ``ping``."""
    return bool(ping.get("responding", "UP" in (ping.get("pinged"), ping.get("ping"))))


def _job_id(reply: HttpReply) -> str:
    try:
        job_id = document(reply).get("job_id")
    except Nonsense:
        return ""
    return str(job_id) if type(job_id) is int and job_id > 0 else ""  # true is an int as well


def _jobs(reply: HttpReply, doing: str, version: str) -> list[dict[str, Any]]:
    found = document(reply) if reply.status == 200 else {"errors": [{}]}
    if errors_of(found) or found.get("jobs") is None:
        raise fault(reply, doing, version)
    return objects(found, "jobs")


def _one_job(reply: HttpReply, job_id: str, version: str) -> dict[str, Any]:
    jobs = _jobs(reply, f"slurmrestd: job {job_id}", version)
    for job in jobs:
        if str(job.get("job_id")) == job_id:
            return job
    raise NotFound(f"slurmrestd: there is no job {job_id}")


def _set(value: Any) -> Any:
    """The value without its empty parts; a number that may be unset or infinite as one."""
    if isinstance(value, dict):
        if value.keys() == {"set", "infinite", "number"}:
            return ("infinite" if value["infinite"] else value["number"]) if value["set"] else None
        parts = {key: _set(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in (None, "", [], {})}
    return [_set(part) for part in value] if isinstance(value, list) else value
