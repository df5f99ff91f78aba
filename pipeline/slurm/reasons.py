"""Why a job waits, in Slurm's words. Source: squeue(1), under "JOB REASON CODES"."""

from __future__ import annotations

_NONE = ("None", "")
"""What Slurm says before it has looked at a job."""

_ORDINARY = ("Priority", "Resources")


def read_reason(state: str, *texts: str) -> str:
    """The first of these texts that says something; only a job that is PENDING has a reason to wait.

    It is a word, or some plugin's text of any form: it becomes one line.
    """
    if state != "PENDING":
        return ""
    lines = (" ".join(text.split()) for text in texts)
    return next((line for line in lines if line not in _NONE), "")


def needs_telling(reason: str) -> bool:
    """Whether it is more than the waiting for a turn, whose reasons come and go by themselves."""
    return bool(reason) and reason not in _ORDINARY
