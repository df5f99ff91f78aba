"""Pseudo-devices: settings of one job that travel as a JSON list of ``key=value``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import InvalidJob
from pipeline.intake.sbatch_options import BARE_OPTIONS, CONTROL, sbatch_option

FIELD = "JOBOBJ_DEVICES"


@dataclass(frozen=True)
class Devices:
    """What a job's pseudo-devices say; None: nothing."""

    overlay_mb: int | None = None
    partition: str = ""
    exclusive: bool = True
    sbatch_options: Mapping[str, str | bool] = field(default_factory=dict)


def read(text: str) -> Devices:
    """The devices of one job.

    Raises:
        InvalidJob: not such a list, a device that is not known, or a wrong value; names the device.
    """
    overlay: int | None = None
    partition, exclusive = "", True
    options: dict[str, str | bool] = {}
    for entry in _entries(text):
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not equals:
            raise InvalidJob(FIELD, value=entry, expected="a device of the form key=value")
        if CONTROL.search(value):
            raise InvalidJob(FIELD, value=entry, expected="free of control characters")
        if key == "overlay":
            if not re.fullmatch(r"[0-9]{1,8}", value):
                raise InvalidJob(FIELD, value=entry, expected="overlay=<MB, 0 or more>")
            overlay = int(value)
        elif key == "partition":
            partition = value
        elif key == "exclusive":
            if value not in ("True", "False"):
                raise InvalidJob(FIELD, value=entry, expected="exclusive=True or exclusive=False")
            exclusive = value == "True"
        elif key.startswith("sbatch_"):
            option = sbatch_option(key.removeprefix("sbatch_"), FIELD, entry)
            options[option] = True if value == "" and option in BARE_OPTIONS else value
        else:
            raise InvalidJob(
                FIELD, value=entry, expected="overlay=, partition=, exclusive= or sbatch_<option>="
            )
    return Devices(overlay, partition, exclusive, options)


def _entries(text: str) -> list[str]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidJob(FIELD, value=text, expected="a JSON list") from None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise InvalidJob(FIELD, value=text, expected="a JSON list of texts")
    return entries
