"""Trackable resources of each task. Source: sbatch(1), ``--tres-per-task``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

FORM = "NAME=COUNT or NAME:TYPE=COUNT"

_TRES = re.compile(r"(?P<name>[a-z]+(/[^:=,]+)?)(:[^:=,]+)?[:=](?P<amount>[0-9]{1,9})", re.IGNORECASE)


class TresPerTask(NamedTuple):
    """One resource of each task."""

    name: str
    """``cpu``, ``gres/gpu``, ``license/x``"""
    amount: int
    text: str
    """As it was asked for: ``gres/gpu:a100=2``."""


def read(words: Iterable[str]) -> list[TresPerTask]:
    """The resources that these words ask for. Raises ValueError, which says what forms there are."""
    found = []
    for word in words:
        match = _TRES.fullmatch(word)
        if not match:
            raise ValueError(FORM)
        found.append(TresPerTask(match["name"], int(match["amount"]), word))
    return found


def of_gpus(gpus: str) -> TresPerTask:
    """What ``--gpus-per-task=[TYPE:]COUNT`` asks for, as sbatch says it. Raises ValueError likewise."""
    kind, colon, count = gpus.rpartition(":")
    if "," in gpus or not count.isdecimal():
        raise ValueError("[TYPE:]COUNT")
    return read([f"gres/gpu{colon}{kind}={count}"])[0]


def binding(resources: Iterable[TresPerTask]) -> str:
    """How sbatch binds tasks to their own generic resources where it is not told: each to its share."""
    return "+".join(f"{one.name}:per_task:{one.amount}" for one in resources if one.name.startswith("gres/"))
