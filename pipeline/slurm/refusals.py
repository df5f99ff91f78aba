"""What a failed command of Slurm means. Slurm tells faults apart by text only."""

from __future__ import annotations

import re

from pipeline.errors import (
    AccountRefused,
    DownstreamError,
    NotFound,
    PartitionRefused,
    QosRefused,
    Refused,
    Unavailable,
    Unreachable,
)
from pipeline.transport import Completed

COMMAND_NOT_FOUND = 127
_SIGNALS = range(129, 193)
"""Exit codes of a command that a signal has ended. sbatch itself ends with 1 or 255."""

# Faults of the way to slurmctld, from slurm_errno.c and errno(3). After them a job may have been
# accepted all the same, so none of these may be taken for a refusal. The first ones are the same for
# everybody who asks; the others may be one user's, or over at once.
_SILENT = re.compile(
    r"unable to (contact|connect|establish)|timed out|connection (refused|reset|aborted|failure)"
    r"|no route to host|network is (unreachable|down)|host is (unreachable|down)"
    r"|transport endpoint|backup controller in standby",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"broken pipe|zero bytes|slurm_persist_conn|temporarily (unable|unavailable)|rate limit"
    r"|problem talking to|send/recv|(send|receive|message|socket|shutdown) (failure|error)|header lengths"
    r"|(munge|authentication) (failure|error|plugin)|protocol authentication|unspecified error"
    r"|interrupted system call|try again|cannot allocate memory",
    re.IGNORECASE,
)
_OF_ACCOUNTING = re.compile(r"\bdatabase\b|slurmdbd", re.IGNORECASE)
"""slurmctld answers without it."""
_REFUSAL = re.compile(
    r"invalid|not (permitted|allowed|available|supported|valid|found|enabled)|violate|denied|exceed"
    r"|unrecognized|unknown|require|\bmust\b|cannot|can't|can not|too (many|large|long|big|small)"
    r"|limit|specification|disabled|\bno such\b|\bbad\b|illegal|larger|already|empty"
    r"|DOS line breaks|dependency",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^(\w+: )?((error|fatal): )?")
_KINDS: tuple[tuple[str, type[DownstreamError]], ...] = (
    (r"Invalid job id", NotFound),
    (r"QOS|AssocMax|AssocGrp|accounting/QOS policy", QosRefused),
    (r"account|association|Invalid user", AccountRefused),
    (r"partition|Requested time limit is invalid|node count|node configuration", PartitionRefused),
)


def fault(reply: Completed, doing: str) -> DownstreamError:
    """The error that a command's non-zero exit code stands for, in Slurm's own words."""
    said = _words(reply) or f"exit code {reply.exit_code}, without a word"
    message = f"{doing}: {said}"
    if reply.exit_code == COMMAND_NOT_FOUND:
        return Unavailable(
            f"{message}; Slurm's commands are not on the PATH of this user: set JARVICE_SLURM_BIN_DIR"
        )
    meant = kind(said)
    if meant is None or (meant is Refused and reply.exit_code in _SIGNALS):
        # Whether the job was accepted is not known: saying no would let it be sent twice.
        meant = Unavailable
    return meant(message)


def unknown(reply: Completed, doing: str) -> Unavailable:
    """The same where nobody can be refused: whatever is complained of, the truth is not known."""
    told = fault(reply, doing)
    return told if isinstance(told, Unavailable) else Unavailable(told.message)


def kind(said: str) -> type[DownstreamError] | None:
    """What Slurm's words stand for; None when they do not say whether it has refused."""
    if _SILENT.search(said):
        return Unavailable if _OF_ACCOUNTING.search(said) else Unreachable
    if _UNKNOWN.search(said):
        return Unavailable
    for pattern, meant in _KINDS:
        if re.search(pattern, said, re.IGNORECASE):
            return meant
    return Refused if _REFUSAL.search(said) else None


def _words(reply: Completed) -> str:
    """What the command said, on one line, without its own name in front of each."""
    lines = reply.stderr.decode("utf-8", "replace").splitlines()
    return "; ".join(filter(None, (_PREFIX.sub("", line).strip() for line in lines)))
