"""Pseudo-devices: settings of one job that travel as a JSON list of ``key=value``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import InvalidJob

FIELD = "JOBOBJ_DEVICES"

_OPTION = re.compile(r"[a-z][a-z0-9-]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

RESERVED_OPTIONS = (
    # The job's identity, and what its polls and logs are found by.
    "job-name", "output", "error", "chdir", "clusters", "array",
    # How many tasks run where: srun starts one a node.
    "nodes", "ntasks", "ntasks-per-node",
    # Who runs what.
    "uid", "gid", "wrap", "export", "export-file", "input",
    # What sbatch itself answers.
    "parsable", "wait", "test-only", "help", "usage", "version", "quiet", "verbose",
)  # fmt: skip
"""sbatch options that the downstream needs for itself."""

BARE_OPTIONS = (
    "consolidate-segments", "contiguous", "exclusive", "get-user-env", "hold", "ignore-pbs", "nice",
    "no-kill", "no-requeue", "oom-kill-step", "overcommit", "oversubscribe", "reboot", "requeue",
    "spread-job", "spread-segments", "stepmgr", "use-min-nodes",
)  # fmt: skip
"""sbatch options that can stand without a value; another one would take the next option for it."""


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


def sbatch_option(name: str, field: str, value: object) -> str:
    """The long name of an option of sbatch that a job may ask for.

    Raises:
        InvalidJob: it is none, or the downstream needs it for itself; names the field.
    """
    if not _OPTION.fullmatch(name):
        raise InvalidJob(field, value=value, expected="a long option of sbatch with its value")
    # sbatch takes any beginning of an option's name that no other option has.
    if any(reserved.startswith(name) for reserved in RESERVED_OPTIONS):
        raise InvalidJob(field, value=value, expected="allowed: the downstream sets this option itself")
    return name
