"""Durations and times as sbatch takes them. Source: sbatch(1), ``--time`` and ``--begin``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

DURATION = "MINUTES[:SECONDS], HOURS:MINUTES:SECONDS, DAYS-HOURS[:MINUTES[:SECONDS]] or UNLIMITED"
TIME = "YYYY-MM-DD[THH:MM[:SS]], HH:MM[:SS] or now[+COUNT[seconds|minutes|hours|days|weeks]]"

_UNLIMITED = ("UNLIMITED", "INFINITE", "-1")
_DURATION = re.compile(
    r"(?P<days>\d{1,5})-(?P<hours>\d{1,6})(:(?P<minutes>\d{1,6})(:(?P<seconds>\d{1,6}))?)?"
    r"|(?P<h>\d{1,6}):(?P<m>\d{1,6}):(?P<s>\d{1,6})"
    r"|(?P<mm>\d{1,8})(:(?P<ss>\d{1,6}))?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?", re.ASCII)
_NOW = re.compile(r"now(\+(\d{1,8})(second|minute|hour|day|week)?s?)?", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"\d\d?:\d\d(:\d\d)?", re.ASCII)


def seconds(text: str) -> int | None:
    """The seconds of a duration; None is unlimited. Raises ValueError, which says what forms there are."""
    if text.upper() in _UNLIMITED:
        return None
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(DURATION)
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    hours = part["days"] * 24 + part["hours"] + part["h"]
    minutes = hours * 60 + part["minutes"] + part["m"] + part["mm"]
    return minutes * 60 + part["seconds"] + part["s"] + part["ss"]


def epoch(text: str, now: datetime) -> int:
    """A point in time, in seconds since the epoch; a time of day is the next one.

    Dates are in this machine's time zone, and so is ``now``, which has none of its own.

    Raises:
        ValueError: it is none; says what forms there are.
    """
    try:
        if match := _NOW.fullmatch(text):
            unit = f"{match[3] or 'second'}s".lower()
            return int(now.timestamp() + timedelta(**{unit: int(match[2] or 0)}).total_seconds())
        if _DATE.fullmatch(text):
            return int(datetime.fromisoformat(text).timestamp())
        if _CLOCK.fullmatch(text):
            hour, minute, second = (*map(int, text.split(":")), 0)[:3]
            # sbatch compares minutes: the minute that has begun is tomorrow's.
            later = timedelta(days=(hour, minute) <= (now.hour, now.minute))
            return int((now.replace(hour=hour, minute=minute, second=second) + later).timestamp())
    except (ValueError, OverflowError):
        pass
    raise ValueError(TIME)
