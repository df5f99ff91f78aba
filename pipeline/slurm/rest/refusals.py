"""What a failed request to slurmrestd means.

The HTTP status tells little: 24.11 answers 500 where 26.05 answers 422, and a token that is not taken is
511. Slurm's own error number (slurm_errno.h) and text tell the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline.errors import (
    DownstreamError,
    Nonsense,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)
from pipeline.slurm import refusals
from pipeline.transport import HttpReply

_NOT_AUTHENTICATED = {1007}
_ZERO_BYTES = 5005
_NOT_ALLOWED = {2002, 2010, 6010}
_NOT_FOUND = {2017, 9003}
"""slurmctld knows no such job; slurmdbd of 22.05 has found nothing."""
_SLURMCTLD = range(2000, 3000)
_PARSER = range(9000, 10000)
"""slurmrestd cannot read what we sent, and passes nothing on."""
_EPERM = 1
"""What slurmrestd of 26.05 says of a job that is to be cancelled while slurmctld is away."""
GATEWAY = {502, 503, 504}
"""From a proxy in front of slurmrestd, or from slurmrestd where Slurm's daemons do not answer it."""
_SAYS_NOTHING = {"Batch job submission failed", "Unspecified error"}


class ZeroBytes(NotAuthenticated):
    """What 22.05's slurmrestd says of a token that was not taken, and of a slurmctld that went away."""


class NoSuchPath(Exception):
    """slurmrestd does not know the path: it does not serve this version of the API."""


@dataclass(frozen=True)
class RestError:
    """One entry of ``errors``."""

    number: int
    text: str


def document(reply: HttpReply) -> dict[str, Any]:
    """The JSON object of a reply. Raises Nonsense."""
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Nonsense(f"slurmrestd: HTTP {reply.status} with {_shown(reply)}, which is no JSON object")
    return found


def objects(found: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in a list of a reply; none where it is null or not there. Raises Nonsense."""
    entries = found.get(key)
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Nonsense(
            f"slurmrestd: {key!r} of its answer is {repr(entries)[:80]}, which is no list of objects"
        )
    return entries


def errors_of(found: dict[str, Any]) -> list[RestError]:
    """The errors of a reply, in the words of all API versions. Raises Nonsense."""
    return [_error(entry) for entry in objects(found, "errors")]


def fault(reply: HttpReply, doing: str, version: str) -> DownstreamError:
    """The error that a reply stands for, in Slurm's own words. Raises NoSuchPath."""
    if reply.status == 404 and b"requested URL" in reply.body:
        raise NoSuchPath
    try:
        errors = errors_of(document(reply))
    except Nonsense as nonsense:
        if reply.status in (401, 403):
            return NotAuthenticated(f"{doing}: slurmrestd: {_shown(reply)}")
        if reply.status in GATEWAY:
            return Unreachable(f"{doing}: HTTP {reply.status}: {_shown(reply)}")
        return Nonsense(f"{doing}: {nonsense}")
    return fault_of(errors, doing, version, reply.status)


def fault_of(errors: list[RestError], doing: str, version: str, status: int) -> DownstreamError:
    """The error that these stand for together, in their own words."""
    said = "; ".join(dict.fromkeys(error.text for error in errors)) or f"HTTP {status}, without a word"
    return _kind(status, {error.number for error in errors}, said, version)(f"{doing}: {said}")


def _kind(status: int, numbers: set[int], said: str, version: str) -> type[DownstreamError]:
    if status in (401, 511) or numbers & _NOT_AUTHENTICATED:
        return NotAuthenticated
    if _ZERO_BYTES in numbers and version <= "v0.0.38":
        return ZeroBytes
    if numbers & _NOT_ALLOWED:
        return NotAllowed
    if numbers & _NOT_FOUND:
        return NotFound
    if status in GATEWAY:
        return Unreachable
    if _EPERM in numbers:
        return Unavailable
    # Whoever has answered with one of these has not done what was asked.
    refused = any(number in _SLURMCTLD or number in _PARSER for number in numbers)
    return refusals.kind(said) or (Refused if refused else Unavailable)


def _error(entry: dict[str, Any]) -> RestError:
    number = entry.get("error_number", entry.get("error_code", 0))
    texts = [entry.get("error"), entry.get("description")]
    words = [text for text in texts if isinstance(text, str) and text and text not in _SAYS_NOTHING]
    where = entry.get("source")
    if isinstance(where, str) and where.startswith("#/"):
        words.append(f"at {where}")
    text = ", ".join(dict.fromkeys(words)) or f"error {number}"
    return RestError(number if isinstance(number, int) else 0, text)


def _shown(reply: HttpReply) -> str:
    return repr(" ".join(reply.text().split())[:80])
