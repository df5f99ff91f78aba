"""Slurm's job states, and what they mean to the upstream. Source: squeue(1), the upstream's contract."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.job import Phase

KILLED = "KILLED"
"""Not Slurm's word: a job that is gone and left no exit record, where nobody knows more."""

BASE_STATES = (
    "PENDING", "RUNNING", "SUSPENDED", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL",
    "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY",
)  # fmt: skip
"""Every job is in one of them, whatever else is said of it.

Accounting leaves out jobs that ended before they were eligible to run, as held ones do that are cancelled. It
has them where it is asked for all of these states and for an end of the time, which is in the future."""

_QUEUED = {
    "CONFIGURING", "PENDING", "REQUEUE_FED", "REQUEUE_HOLD", "REQUEUED", "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
}  # fmt: skip
_ENDED = {
    "COMPLETED": 0,
    "FAILED": 1,
    "NODE_FAIL": 1,
    "OUT_OF_MEMORY": 1,
    "BOOT_FAIL": 1,
    "CANCELLED": -15,
    "DEADLINE": -15,
    "PREEMPTED": -15,
    "REVOKED": -9,
    "TIMEOUT": -9,
    KILLED: -9,
}
_OWN_ENDS = ("COMPLETED", "FAILED", "OUT_OF_MEMORY")
"""Those that a job comes to itself; Slurm brings about the others, and what it says of their code varies."""

_SIGNALS = range(1, 65)


def phase(state: str) -> Phase:
    """Where a job in this state is.

    A word that is not known is no end: an ended job's files are removed.
    """
    if state in _QUEUED:
        return Phase.QUEUED
    return Phase.ENDED if state in _ENDED else Phase.RUNNING


def exit_status(state: str) -> int:
    """The upstream's exit status for a final state; -9 for every end that has none of its own."""
    return _ENDED.get(state, -9)


def may_have_exit_code(state: str) -> bool:
    """Whether a job in this state has come to its own end."""
    return state in _OWN_ENDS


def was_refused(state: str, nodes: Sequence[str]) -> bool:
    """Whether it is no job, but what slurmctld keeps of one that it did not take: it failed on no node."""
    return state == "FAILED" and not nodes


def exit_code(state: str, code: int = 0, signal: int = 0) -> int | None:
    """The batch script's own exit code, as a shell would tell it; None where it has none.

    A failed job of which Slurm says 0 did not come to its script's end, or was not asked for its code.
    """
    if state == "COMPLETED" or not may_have_exit_code(state):
        return 0 if state == "COMPLETED" else None
    return 128 + signal if signal in _SIGNALS else code or None


def read_exit_code(text: str) -> tuple[int, int]:
    """Code and signal, of Slurm's ``code:signal``.

    Raises:
        ValueError: it is not of that form.
    """
    code, _, signal = text.partition(":")
    return int(code), int(signal)


def read_state(text: str) -> str:
    """The state's own word: ``CANCELLED by 2002`` is ``CANCELLED``."""
    return text.split(" ", 1)[0].strip()


def read_seconds(text: str) -> int:
    """Seconds of Slurm's ``[[days-]hours:]minutes:seconds``; 0 where it has no time.

    Raises:
        ValueError: it is not of that form.
    """
    if text in ("", "INVALID", "N/A", "Unknown"):
        return 0
    days, dash, rest = text.partition("-")
    if not dash:
        days, rest = "0", text
    total = 0
    for part in rest.split(":"):
        total = total * 60 + int(part)
    return int(days) * 86400 + total


def show_seconds(seconds: int) -> str:
    """``HH:MM:SS``, days folded into hours: ``26:03:04``."""
    minutes, second = divmod(max(0, seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}"
