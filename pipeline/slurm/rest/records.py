"""What slurmrestd says of a job, in the forms of all API versions that we speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import Nonsense
from pipeline.job import JobStatus, Phase
from pipeline.slurm import hostlist, states
from pipeline.slurm.commands import our_name
from pipeline.slurm.comments import digest_in
from pipeline.slurm.reasons import read_reason

_FLAGS = (
    "COMPLETING", "STAGE_OUT", "CONFIGURING", "RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD",
    "SPECIAL_EXIT", "STOPPED", "REVOKED", "RESV_DEL_HOLD", "SIGNALING",
)  # fmt: skip
"""Those that squeue shows in place of the state, in its order."""


@dataclass(frozen=True)
class JobRecord:
    """A job, its owner, and its times in seconds since the epoch; 0: not yet."""

    slurm_name: str
    job_id: str
    user: str
    state: str
    nodes: tuple[str, ...]
    start: int
    end: int
    exit_code: int | None = None
    reasons: tuple[str, ...] = ()
    """What is said of why it waits; squeue shows the first that says something."""
    digest: str = ""

    def status(self, prefix: str, now: float) -> JobStatus | None:
        """The job as the use cases know it; None when it is not this portal's."""
        name = our_name(self.slurm_name, prefix)
        if name is None:
            return None
        phase = states.phase(self.state)
        # A waiting job's start and a running one's end are the scheduler's guesses.
        until = self.end if phase is Phase.ENDED else int(now)
        begun = self.start if phase is not Phase.QUEUED else 0
        return JobStatus(
            name=name,
            job_id=self.job_id,
            owner=self.user,
            state=self.state,
            phase=phase,
            elapsed=max(0, until - begun) if begun else 0,
            nodes=self.nodes,
            exit_code=self.exit_code,
            reason=read_reason(self.state, *self.reasons),
            digest=self.digest,
        )


def read_job(job: Mapping[str, Any]) -> JobRecord:
    """A job of ``/slurm/<version>/job``. Raises Nonsense."""
    return _read(
        job, user="user_name", state=job.get("job_state"), times=job, start="start_time", end="end_time"
    )


def read_accounted(job: Mapping[str, Any]) -> JobRecord:
    """A job of ``/slurmdb/<version>/job``. Raises Nonsense."""
    state = job.get("state") or {}
    times = job.get("time") or {}
    if not isinstance(state, Mapping) or not isinstance(times, Mapping):
        raise _unreadable(job, "its state or its time is no object")
    return _read(job, user="user", state=state.get("current"), times=times, start="start", end="end")


def read_state(state: object) -> str:
    """The one word that squeue shows for a state, which is a word up to v0.0.39 and a list after that.

    Some flags go before the state that they are flags of.

    Raises:
        ValueError: it is neither.
    """
    words = [state] if isinstance(state, str) else state
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{state!r} is not a job's state")
    flags = [flag for flag in _FLAGS if flag in words]
    shown = flags or [word for word in words if word in states.BASE_STATES]
    return str((shown or words)[0])


def _read(
    job: Mapping[str, Any], *, user: str, state: object, times: Mapping[str, Any], start: str, end: str
) -> JobRecord:
    comment = job.get("comment")  # of accounting an object
    try:
        nodes = str(job.get("nodes") or "")
        word = read_state(state)
        hosts = hostlist.expand("" if nodes == "None assigned" else nodes)
        code = states.exit_code(word, *_exit_code(job.get("exit_code")))
        return JobRecord(
            slurm_name=str(job["name"]),
            job_id=str(int(job["job_id"])),
            user=str(job[user]),
            state=word,
            nodes=hosts,
            start=_number(times.get(start)),
            end=_number(times.get(end)),
            exit_code=None if states.was_refused(word, hosts) else code,
            reasons=tuple(str(job.get(key) or "") for key in ("state_description", "state_reason")),
            digest=digest_in(comment.get("job") if isinstance(comment, Mapping) else comment),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as fault:
        raise _unreadable(job, str(fault)) from None


def _unreadable(job: Mapping[str, Any], reason: str) -> Nonsense:
    return Nonsense(f"slurmrestd: cannot read what it says of job {job.get('job_id')}: {reason[:200]}")


def _exit_code(value: object) -> tuple[int, int]:
    """Code and signal: of slurmctld up to v0.0.39 the status of wait(2), everywhere else an object."""
    if not isinstance(value, Mapping):
        status = _number(value)
        return status >> 8 & 0xFF, status & 0x7F
    signal = value.get("signal") or {}
    if not isinstance(signal, Mapping):
        raise ValueError(f"{signal!r} is not a signal")
    return _number(value.get("return_code")), _number(signal.get("id", signal.get("signal_id")))


def _number(value: object) -> int:
    """A number, plain or as ``{"set", "infinite", "number"}``; 0 where there is none."""
    if isinstance(value, Mapping):
        value = value.get("number") if value.get("set") and not value.get("infinite") else 0
    if value is None:
        return 0
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return int(value)
