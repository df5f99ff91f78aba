"""The values of sbatch's options, read as sbatch does. Source: sbatch(1).

slurmrestd ignores ``#SBATCH`` lines and has fields in their place. A template takes each option that
it has a field for; what is left in the end would be lost on the way, which is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, NoReturn, TypeVar

from pipeline.slurm import hostlist, times, tres
from pipeline.slurm.tres import TresPerTask

_T = TypeVar("_T")

_TOP_PRIORITY = 0xFFFFFFFE - 1
"""NO_VAL - 1, as sbatch sends it."""

_MOST_SIGNAL_SECONDS = 65535

_KILOBYTES = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}
_SIGNAL = re.compile(r"(?P<to>[BR]{0,2}):?(?P<signal>[A-Z][A-Z0-9+-]*|[0-9]+)(@(?P<seconds>[0-9]{1,5}))?")


class OptionFault(ValueError):
    """The value of an option is not what it has to be, which ``expected`` says."""

    def __init__(self, option: str, expected: str) -> None:
        super().__init__(f"--{option} is not {expected}")
        self.option = option
        self.expected = expected


class Signal(NamedTuple):
    """What ``--signal`` asks for."""

    name: str
    """``USR1``, or a number."""
    seconds: int
    """How long before the end it is sent."""
    batch: bool
    """Only the batch shell gets it."""
    reservation: bool
    """It is sent for an overlapping reservation too."""


class Options:
    """The long options of one batch script.

    Each method reads one option, which counts as taken from then on. It raises OptionFault for a
    value that is not of its form, and KeyError when the option is not there: ask with ``in`` first.
    """

    def __init__(self, values: Mapping[str, str], now: datetime) -> None:
        """The options as ``directives.read`` gives them; ``now+1hour`` counts from ``now``."""
        self._values = values
        self._now = now
        self._taken: set[str] = set()

    def __contains__(self, option: str) -> bool:
        return option in self._values

    def __getitem__(self, option: str) -> str:
        """The value as it is written, without taking the option."""
        return self._values[option]

    @property
    def left(self) -> tuple[str, ...]:
        """The options that nobody has taken, in their order."""
        return tuple(option for option in self._values if option not in self._taken)

    def refuse(self, option: str, expected: str) -> NoReturn:
        """For a value that this version has no word for: ``options.refuse("signal", "a name or number")``."""
        raise OptionFault(option, expected)

    def text(self, option: str) -> str:
        """The value as it is; it cannot be empty."""
        value = self._take(option)
        if not value:
            raise OptionFault(option, f"given a value (--{option}=VALUE)")
        return value

    def path(self, option: str, folder: str) -> str:
        """The path of a file; one that is relative is in that folder."""
        value = self.text(option)
        return value if value.startswith("/") else f"{folder}/{value}"

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

    def nice(self, option: str) -> int:
        """A whole number that may be negative; without a value it is 100."""
        value = self._take(option) or "100"
        if not re.fullmatch(r"[+-]?[0-9]{1,10}", value) or abs(int(value)) > 2147483645:
            raise OptionFault(option, "a whole number within +/- 2147483645")
        return int(value)

    def priority(self, option: str) -> int:
        """A whole number; ``TOP`` is the highest there is."""
        if self[option].upper() == "TOP":
            self._take(option)
            return _TOP_PRIORITY
        return self.number(option)

    def minutes(self, option: str) -> int | None:
        """A limit in minutes, seconds rounded up; None is unlimited, and so is 0."""
        seconds = self.seconds(option)
        return -(-seconds // 60) if seconds else None

    def seconds(self, option: str) -> int | None:
        """A duration in seconds; None is unlimited. A number alone is minutes, as everywhere in sbatch."""
        return self._read(option, times.seconds)

    def epoch(self, option: str) -> int:
        """A point in time in seconds since the epoch, in this machine's time zone."""
        return self._read(option, lambda value: times.epoch(value, self._now))

    def megabytes(self, option: str) -> int:
        """A size in MB; K are rounded up, and without a unit it is MB already."""
        match = re.fullmatch(r"([0-9]{1,12})(?:([KMGT])B?)?", self._take(option), re.IGNORECASE)
        if not match:
            raise OptionFault(option, "a size such as 500M or 4G")
        return -(-int(match[1]) * _KILOBYTES[(match[2] or "M").upper()] // 1024)

    def words(self, option: str) -> list[str]:
        """The words of a list with commas."""
        return [word for word in self.text(option).split(",") if word]

    def hosts(self, option: str) -> list[str]:
        """The names of a host list, ``n[1-3]`` written out."""
        value = self.text(option)
        if "/" in value:  # sbatch takes it for a file, on the machine where it runs
            raise OptionFault(option, "a host list")
        try:
            return list(hostlist.expand(value))
        except ValueError:
            raise OptionFault(option, "a host list") from None

    def choice(self, option: str, choices: Mapping[str, object]) -> object:
        """What stands for the value, in small letters or large; ``""`` is the bare option."""
        return self._chosen(option, self._take(option), choices)

    def choices(self, option: str, choices: Mapping[str, object]) -> list[object]:
        """What stands for each word of a list with commas; a list stands for all its members."""
        chosen: list[object] = []
        for word in self.words(option):
            one = self._chosen(option, word, choices)
            chosen += one if isinstance(one, list) else [one]
        return list(dict.fromkeys(chosen))

    def flags(self, flags: Mapping[str, str | Mapping[str, object]]) -> list[object]:
        """The flags of the options that are there: one for a bare option, or one for each of its words."""
        given: list[object] = []
        for option, flag in flags.items():
            if option in self and isinstance(flag, str):
                given += [flag] if self.flag(option) else []
            elif option in self and isinstance(flag, Mapping):
                given += self.choices(option, flag)
        return given

    def prefixed(self, option: str, prefix: str) -> list[str]:
        """The words of a list, each with the prefix: ``a100:2`` with ``gres/gpu:`` is ``gres/gpu:a100:2``."""
        return [prefix + word.removeprefix(prefix) for word in self.words(option)]

    def cpus_per_task(self) -> int | None:
        """What ``--cpus-per-task`` says, or ``--tres-per-task``, which this does not take; None: nothing."""
        if "cpus-per-task" in self:
            return self.number("cpus-per-task")
        return next((one.amount for one in self._tres("tres-per-task") if one.name == "cpu"), None)

    def tres_per_task(self) -> str:
        """What sbatch makes of ``--cpus-per-task``, ``--gpus-per-task`` and ``--tres-per-task`` together."""
        asked = self._tres_of_tasks()
        names = [one.name for one in asked]
        if "tres-per-task" in self and len(set(names)) < len(names):
            raise OptionFault("tres-per-task", "free of what --cpus-per-task or --gpus-per-task asks for")
        self._taken.update({"gpus-per-task", "tres-per-task"})
        return ",".join(one.text for one in asked)

    def tres_bind(self) -> str:
        """``--tres-bind`` or ``--gpu-bind``; without them sbatch binds tasks to what each of them has."""
        if "tres-bind" in self:
            return self.text("tres-bind")
        if "gpu-bind" in self:
            return f"gres/gpu:{self.text('gpu-bind')}"
        return tres.binding(self._tres_of_tasks())

    def switches(self, option: str) -> tuple[int, int | None]:
        """``COUNT[@TIME]``: how many switches at the most, and the seconds to wait for them."""
        count, at, wait = self._take(option).partition("@")
        try:
            seconds = times.seconds(wait) if at else None
        except ValueError as fault:
            raise OptionFault(option, f"COUNT[@TIME] with TIME as {fault}") from None
        if not re.fullmatch(r"[1-9][0-9]{0,8}", count):
            raise OptionFault(option, "COUNT[@TIME]")
        return int(count), seconds

    def signal(self, option: str) -> Signal:
        """``[{R|B}:]SIGNAL[@SECONDS]``; 60 s where it does not say."""
        match = _SIGNAL.fullmatch(self._take(option).upper())
        if not match or (match["to"] and ":" not in self[option]):
            raise OptionFault(option, "[{R|B}:]SIGNAL[@SECONDS]")
        seconds = int(match["seconds"] or 60)
        if seconds > _MOST_SIGNAL_SECONDS:
            raise OptionFault(option, f"sent {_MOST_SIGNAL_SECONDS} s before the end at the most")
        return Signal(match["signal"], seconds, "B" in match["to"], "R" in match["to"])

    def _take(self, option: str) -> str:
        value = self[option]
        self._taken.add(option)
        return value

    def _read(self, option: str, read: Callable[[str], _T]) -> _T:
        try:
            return read(self._take(option))
        except ValueError as fault:
            raise OptionFault(option, str(fault)) from None

    def _tres_of_tasks(self) -> list[TresPerTask]:
        """In sbatch's order. Nothing is taken."""
        cpus = self.cpus_per_task() if "cpus-per-task" in self else None
        own = [] if cpus is None else tres.read([f"cpu={cpus}"])
        return own + self._tres("gpus-per-task") + self._tres("tres-per-task")

    def _tres(self, option: str) -> list[TresPerTask]:
        if option not in self:
            return []
        try:
            if option == "gpus-per-task":
                return [tres.of_gpus(self[option])]
            return tres.read(self[option].split(","))
        except ValueError as fault:
            raise OptionFault(option, str(fault)) from None

    def _chosen(self, option: str, word: str, choices: Mapping[str, object]) -> object:
        if word.lower() not in choices:
            raise OptionFault(option, _one_of([choice for choice in choices if choice]))
        return choices[word.lower()]


def _one_of(words: Sequence[str]) -> str:
    return f"one of {', '.join(words)}" if len(words) > 1 else " ".join(words)
