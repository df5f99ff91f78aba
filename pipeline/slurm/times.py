"""Durations and times as sbatch takes them. Source: sbatch(1), ``--time`` and ``--begin``."""

from __future__ import annotations

import re

_UNLIMITED = ("UNLIMITED", "INFINITE", "-1")
_DURATION = re.compile(
    r"(?P<days>\d{1,5})-(?P<hours>\d{1,6})(:(?P<minutes>\d{1,6})(:(?P<seconds>\d{1,6}))?)?"
    r"|((?P<h>\d{1,6}):(?P<m>\d{1,6}):|(?P<mm>\d{1,8}):)(?P<s>\d{1,6})"
    r"|(?P<only>\d{1,8})",
    re.ASCII,
)


def minutes(text: str) -> int | None:
    """The minutes of a duration, seconds rounded up; None is unlimited.

    Raises:
        ValueError: it is none; says which forms there are.
    """
    if text.upper() in _UNLIMITED:
        return None
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("MINUTES, MINUTES:SECONDS, HOURS:MINUTES:SECONDS, DAYS-HOURS or UNLIMITED")
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    seconds = part["seconds"] + part["s"]
    return (
        part["days"] * 24 * 60
        + (part["hours"] + part["h"]) * 60
        + part["minutes"] + part["m"] + part["mm"] + part["only"]
        + (seconds + 59) // 60
    )  # fmt: skip
