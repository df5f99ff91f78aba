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
)
from pipeline.transport import Completed

COMMAND_NOT_FOUND = 127

_UNREACHABLE = re.compile(
    r"Unable to contact slurm|Socket timed out|Connection refused|Connection timed out"
    r"|Transport endpoint|Zero Bytes were transmitted|slurm_persist_conn|Unable to connect"
    r"|Communication connection failure|Slurm backup controller in standby"
    r"|Slurm temporarily unable|Resource temporarily unavailable|rate limit|Problem talking to"
    r"|Unable to establish control|send/recv|Message receive failure|Header lengths are longer",
    re.IGNORECASE,
)
_KINDS: tuple[tuple[str, type[DownstreamError]], ...] = (
    (r"Invalid job id", NotFound),
    (r"QOS|AssocMax|AssocGrp|accounting/QOS policy", QosRefused),
    (r"account|association|Invalid user", AccountRefused),
    (r"partition|Requested time limit is invalid|node count|node configuration", PartitionRefused),
)


def fault(reply: Completed, doing: str) -> DownstreamError:
    """The error that a command's non-zero exit code stands for, in Slurm's own words."""
    said = reply.complaint() or f"exit code {reply.exit_code}, without a word"
    message = f"{doing}: {said}"
    if reply.exit_code == COMMAND_NOT_FOUND:
        return Unavailable(
            f"{message}; Slurm's commands are not on the PATH of this user: set JARVICE_SLURM_BIN_DIR"
        )
    if _UNREACHABLE.search(said):
        return Unavailable(message)
    for pattern, kind in _KINDS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(message)
    return Refused(message)
