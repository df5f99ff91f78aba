"""Options of sbatch that a job may ask for by name."""

from __future__ import annotations

import re

from pipeline.errors import InvalidJob

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

SWITCHES = (
    "consolidate-segments", "contiguous", "hold", "ignore-pbs", "no-requeue", "overcommit", "oversubscribe",
    "reboot", "requeue", "spread-job", "spread-segments", "stepmgr", "use-min-nodes",
)  # fmt: skip
"""sbatch options that take no value. Source: sbatch(1)."""

BARE_OPTIONS = (*SWITCHES, "exclusive", "get-user-env", "nice", "no-kill", "oom-kill-step")
"""Those that can stand without a value; another one would take the next option for it."""


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
