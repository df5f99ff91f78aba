"""Slurm's host lists: ``n[1-3,7],gpu01``. Source: scontrol(1), "show hostnames"."""

from __future__ import annotations

import re

_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_MOST_HOSTS = 100_000
_MOST_BRACKETS = 16
"""In the name of one host; Slurm itself has fewer dimensions."""


def expand(text: str) -> tuple[str, ...]:
    """The host names of a host list, in its order.

    Raises:
        ValueError: it is no host list, or one of more than 100,000 hosts.
    """
    hosts: list[str] = []
    for part in _parts(text):
        hosts += _expand_part(part)
        _check_number(len(hosts))
    return tuple(hosts)


def _parts(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth not in (0, 1):
            raise ValueError(f"{text[:80]!r} is not a host list")
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    if depth:
        raise ValueError(f"{text[:80]!r} is not a host list")
    return [part for part in [*parts, text[start:]] if part]


def _expand_part(part: str) -> list[str]:
    head, bracket, rest = part.partition("[")
    if not bracket:
        return [part]
    if part.count("[") > _MOST_BRACKETS:
        raise ValueError(f"{part[:80]!r} is not a host list")
    inside, _, tail = rest.partition("]")
    numbers, ends = _numbers(inside), _expand_part(tail)
    _check_number(len(numbers) * len(ends))
    return [f"{head}{number}{end}" for number in numbers for end in ends]


def _numbers(text: str) -> list[str]:
    numbers: list[str] = []
    for piece in text.split(","):
        match = _RANGE.fullmatch(piece)
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if int(last) < int(first):
            raise ValueError(f"{piece[:80]!r} is not a range of a host list")
        _check_number(int(last) - int(first) + 1)
        numbers += [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    return numbers


def _check_number(hosts: int) -> None:
    if hosts > _MOST_HOSTS:
        raise ValueError(f"a host list of more than {_MOST_HOSTS} hosts")
