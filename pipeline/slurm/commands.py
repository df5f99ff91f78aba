"""Slurm's commands: each one's line and the reading of its answer, side by side."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from pipeline import shell
from pipeline.errors import Nonsense, NotFound, Unavailable
from pipeline.job import JobStatus
from pipeline.settings import NATIVE_MARK
from pipeline.shipped import schema
from pipeline.slurm import hostlist, states
from pipeline.slurm.comments import digest_in
from pipeline.slurm.reasons import read_reason
from pipeline.slurm.refusals import fault, unknown
from pipeline.transport import Completed

Answer_co = TypeVar("Answer_co", covariant=True)

_PORTAL_NAME = re.compile(schema("upstream_submit")["properties"]["name"]["pattern"])
_NATIVE_NAME = re.compile(schema("job")["properties"]["name"]["pattern"])


class Command(Protocol[Answer_co]):
    """A line of bash that is safe to repeat, and what its reply means."""

    def line(self) -> str:
        """The line; every value in it is quoted."""
        ...

    def parse(self, reply: Completed) -> Answer_co:
        """The answer. Raises a ``DownstreamError`` where the reply is none."""
        ...


class UnknownUser(Exception):
    """The host that the command runs on does not know the user; Slurm may."""


@dataclass(frozen=True)
class Squeue:
    """Every job of ours that slurmctld still knows, in one call.

    Ended jobs stay for MinJobAge (300 s unless the site says otherwise), so a job that is missing
    here has ended or was never there: ask ``Sacct``. Source: squeue(1).
    """

    prefix: str
    """In front of our jobs' names."""
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    """Starts each line, and parts reason, name and comment: each may hold anything, but not this."""
    name: str = ""
    """Only jobs of this name; empty: of any."""
    user: str = ""
    """Only jobs of this user; empty: of all."""

    def line(self) -> str:
        """The line of bash."""
        form = f"{self.mark}|%A|%u|%T|%M|%N|%r|{self.mark}:%j|{self.mark}:%k"
        wanted = [f"--name={self.prefix}{self.name}"] if self.name else []
        wanted += [f"--user={self.user}"] if self.user else []
        return shell.join(["squeue", "--noheader", "--all", "--states=all", f"--format={form}", *wanted])

    def parse(self, reply: Completed) -> list[JobStatus]:
        """The jobs, in squeue's order.

        Raises:
            UnknownUser: whose jobs were asked for. squeue says so, shows none, and its exit code is 0.
            Unavailable: slurmctld did not answer; a short list is never returned.
            Nonsense: a line is not of the form that was asked for.
        """
        if reply.exit_code != 0:
            # Whatever squeue complains of, which jobs there are is not known: never the caller's fault.
            raise unknown(reply, "squeue")
        if self.user and "Invalid user" in reply.complaint():
            raise UnknownUser(self.user)
        before, *records = reply.text().split(f"{self.mark}|")
        if before.strip():
            raise Nonsense(f"squeue: cannot read the line {before[:80]!r}")
        found = []
        for record in records:
            first, *rest = record.rstrip("\n").split(f"|{self.mark}:")
            fields = first.split("|", 5)
            if len(rest) != 2 or len(fields) != 6:
                raise Nonsense(f"squeue: cannot read the line {record[:80]!r}")
            job_id, user, state, elapsed, nodes, reason = fields
            slurm_name, comment = rest
            name = our_name(slurm_name, self.prefix)
            if name is not None:
                job = _status(name, job_id, user, state, elapsed, nodes)
                reason = read_reason(job.state, reason)
                found.append(replace(job, reason=reason, digest=digest_in(comment)))
        return found


REMEMBERED_DAYS = 30
"""Days for which a native job is found by its name after Slurm has forgotten it."""

_SACCT = (
    "sacct", "--noheader", "--parsable2", "--allocations", "--allusers", "--duplicates",
    "--format=JobIDRaw,User,State,Elapsed,NodeList,ExitCode,JobName",
)  # fmt: skip


class NoAccounting(Exception):
    """The cluster has no slurmdbd; what a job left behind is all there is."""


@dataclass(frozen=True)
class Sacct:
    """The accounting records of some jobs, by id. Source: sacct(1).

    By id, because ``sacct -a`` leaves out jobs that were cancelled while they were held; parsable,
    because the table clips states (``CANCELLED+``).
    """

    prefix: str
    job_ids: Sequence[str]

    def line(self) -> str:
        """The line of bash."""
        return shell.join([*_SACCT, f"--jobs={','.join(self.job_ids)}"])

    def parse(self, reply: Completed) -> list[JobStatus]:
        """The records of our jobs, oldest first: a job id can have been used before.

        Raises:
            NoAccounting: there is none.
            Unavailable: it did not answer.
            Nonsense: a line is not of the form that was asked for.
        """
        return _accounted(reply, self.prefix)


@dataclass(frozen=True)
class SacctOfName:
    """The accounting records of a name, of the last days. Source: sacct(1)."""

    prefix: str
    name: str

    def line(self) -> str:
        """The line of bash."""
        wanted = accounted_with_name(self.prefix + self.name, REMEMBERED_DAYS)
        return shell.join([*_SACCT, *wanted])

    def parse(self, reply: Completed) -> list[JobStatus]:
        """The records, oldest first. Raises as ``Sacct`` does."""
        return [job for job in _accounted(reply, self.prefix) if job.name == self.name]


@dataclass(frozen=True)
class ExitCodes:
    """The exit codes of jobs that slurmctld still knows. ``--format`` has no field for them.

    Source: squeue(1).
    """

    job_ids: Sequence[str]

    def line(self) -> str:
        """The line of bash."""
        return shell.join(
            ["squeue", "--noheader", "--all", "--states=all", f"--jobs={','.join(self.job_ids)}",
             "--Format=JobID:20,exit_code:20"]
        )  # fmt: skip

    def parse(self, reply: Completed) -> dict[str, tuple[int, int]]:
        """Code and signal by id; nothing of jobs that slurmctld has forgotten.

        Raises:
            Unavailable: slurmctld did not answer.
            Nonsense: a line is not of the form that was asked for.
        """
        if reply.exit_code != 0:
            said = fault(reply, "squeue")
            if isinstance(said, NotFound):  # the only one that is asked for
                return {}
            raise unknown(reply, "squeue")
        found = {}
        for record in reply.text().splitlines():
            try:
                job_id, code = record.split()
                found[job_id] = states.read_exit_code(code)
            except ValueError:
                raise Nonsense(f"squeue: cannot read the line {record[:80]!r}") from None
        return found


@dataclass(frozen=True)
class Scancel:
    """End a job. An unknown or ended job is no error to scancel. Source: scancel(1)."""

    job_id: str

    def line(self) -> str:
        """The line of bash."""
        return shell.join(["scancel", self.job_id])

    def parse(self, reply: Completed) -> None:
        """Raises what Slurm said."""
        if reply.exit_code != 0:
            raise fault(reply, f"scancel {self.job_id}")


@dataclass(frozen=True)
class Release:
    """Release a held job. Source: scontrol(1)."""

    job_id: str

    def line(self) -> str:
        """The line of bash."""
        return shell.join(["scontrol", "release", self.job_id])

    def parse(self, reply: Completed) -> None:
        """Raises what Slurm said."""
        if reply.exit_code != 0:
            raise fault(reply, f"scontrol release {self.job_id}")


@dataclass(frozen=True)
class ShowJob:
    """All that slurmctld says of a job. Source: scontrol(1)."""

    job_id: str

    def line(self) -> str:
        """The line of bash."""
        return shell.join(["scontrol", "show", "job", self.job_id])

    def parse(self, reply: Completed) -> str:
        """The text. Raises what Slurm said."""
        if reply.exit_code != 0:
            raise fault(reply, f"scontrol show job {self.job_id}")
        return reply.text()


@dataclass(frozen=True)
class Ping:
    """Whether slurmctld answers. Source: scontrol(1)."""

    def line(self) -> str:
        """The line of bash."""
        return "scontrol ping"

    def parse(self, reply: Completed) -> None:
        """Raises Unavailable, in Slurm's words."""
        if reply.exit_code != 0:
            said = Completed(reply.exit_code, b"", reply.stderr or reply.stdout)
            raise unknown(said, "scontrol ping")


def our_name(slurm_name: str, prefix: str) -> str | None:
    """The job's own name of a Slurm job name; None when the job is not one of this prefix.

    A prefix has no digit and an upstream's name starts with one: the name of another portal's job,
    whose prefix starts like ours, is never taken for ours. The prefix of native jobs ends in a mark
    that no prefix of a portal has. Anybody on the cluster can start a name with our prefix: one that we
    would not have taken is none of ours, whatever it holds.
    """
    name = slurm_name.removeprefix(prefix)
    form = _NATIVE_NAME if prefix.endswith(NATIVE_MARK) else _PORTAL_NAME
    return name if name != slurm_name and form.fullmatch(name) else None


def accounted_with_name(slurm_name: str, days: int) -> list[str]:
    """Options of sacct for the jobs of a name, of the last days; as ``BASE_STATES`` says."""
    return [
        f"--name={slurm_name}",
        f"--starttime=now-{days}days",
        "--endtime=now+1days",
        f"--state={','.join(states.BASE_STATES)}",
    ]


def _accounted(reply: Completed, prefix: str) -> list[JobStatus]:
    """What sacct says of our jobs."""
    if reply.exit_code != 0:
        if "accounting storage is disabled" in reply.complaint():
            raise NoAccounting(reply.complaint())
        raise Unavailable(f"sacct: {reply.complaint() or f'exit code {reply.exit_code}'}")
    found = []
    for record in reply.text().removesuffix("\n").split("\n") if reply.stdout else ():
        fields = record.split("|", 6)  # the name comes last: it may hold anything
        if len(fields) != 7:
            raise Nonsense(f"sacct: cannot read the line {record[:80]!r}")
        job_id, user, state, elapsed, nodes, code, slurm_name = fields
        name = our_name(slurm_name, prefix)
        if name is not None:
            nodes = "" if nodes == "None assigned" else nodes
            found.append(_status(name, job_id, user, state, elapsed, nodes, code))
    return found


def _status(
    name: str, job_id: str, user: str, state: str, elapsed: str, nodes: str, code: str = "0:0"
) -> JobStatus:
    word = states.read_state(state)
    try:
        hosts = hostlist.expand(nodes)
        return JobStatus(
            name=name,
            job_id=job_id,
            owner=user,
            state=word,
            phase=states.phase(word),
            elapsed=states.read_seconds(elapsed),
            nodes=hosts,
            exit_code=None
            if states.was_refused(word, hosts)
            else states.exit_code(word, *states.read_exit_code(code)),
        )
    except ValueError as broken:
        raise Nonsense(f"Slurm: cannot read what it says of job {job_id}: {broken}") from None
