"""The values of sbatch's options, read as sbatch does. Source: sbatch(1).

slurmrestd ignores ``#SBATCH`` lines and has fields in their place. A template takes each option that
it has a field for; what is left over in the end is an option that would be lost on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from pipeline.slurm import hostlist, times

_MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


class OptionFault(ValueError):
    """An option has a value that sbatch would not take, or that cannot be said otherwise."""

    def __init__(self, option: str, expected: str) -> None:
        super().__init__(f"--{option} is not {expected}")
        self.option = option
        self.expected = expected


class Options:
    """The long options of one batch script.

    Each method reads one option, which counts as taken from then on, and raises OptionFault for a
    value that is not of its form. Asking for an option that is not there is a KeyError: templates
    ask ``{% if "account" in options %}`` first.
    """

    def __init__(self, values: Mapping[str, str], now: datetime) -> None:
        """The options as ``directives.read`` gives them; times such as ``now+1hour`` count from ``now``."""
        self._values = values
        self._now = now
        self._taken: set[str] = set()

    def __contains__(self, option: str) -> bool:
        return option in self._values

    @property
    def left(self) -> tuple[str, ...]:
        """The options that nobody has taken, in their order."""
        return tuple(option for option in self._values if option not in self._taken)

    def text(self, option: str) -> str:
        """The value as it is; it cannot be empty."""
        value = self._take(option)
        if not value:
            raise OptionFault(option, "followed by a value")
        return value

    def flag(self, option: str) -> bool:
        """True, for an option that stands without a value."""
        if self._take(option):
            raise OptionFault(option, "an option without a value")
        return True

    def number(self, option: str) -> int:
        """A whole number, 0 or more."""
        value = self._take(option)
        if not re.fullmatch(r"[0-9]{1,10}", value):
            raise OptionFault(option, "a whole number")
        return int(value)

    def minutes(self, option: str) -> int | None:
        """A duration in minutes, seconds rounded up; None is unlimited."""
        try:
            return times.minutes(self._take(option))
        except ValueError as fault:
            raise OptionFault(option, str(fault)) from None

    def megabytes(self, option: str) -> int:
        """A size in MB; K are rounded up, and without a unit it is MB already."""
        value = self._take(option)
        match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)B?", value, re.IGNORECASE)
        if not match:
            raise OptionFault(option, "a size such as 500M or 4G")
        return -int(-int(match[1]) * _MEGABYTES[match[2].upper() or "M"] // 1)

    def words(self, option: str) -> list[str]:
        """The words of a list with commas."""
        return [word.strip() for word in self.text(option).split(",") if word.strip()]

    def hosts(self, option: str) -> list[str]:
        """The names of a host list, ``n[1-3]`` written out."""
        value = self.text(option)
        if "/" in value:  # sbatch reads a file then, on the machine where it runs
            raise OptionFault(option, "a host list")
        try:
            return list(hostlist.expand(value))
        except ValueError:
            raise OptionFault(option, "a host list") from None

    def _take(self, option: str) -> str:
        value = self._values[option]
        self._taken.add(option)
        return value
