"""Where a job's fields are not what slurmrestd's own document says of them.

Those of v0.0.38 were found by submitting held jobs to Slurm 22.05.8. Those of v0.0.39 are what Slurm's
sources of 23.02 to 24.05 (``data_parser/v0.0.39``) have otherwise than the ones of v0.0.40: no Debian
release serves that version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Words:
    """The words that a list of flags has more, and fewer."""

    more: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corrections:
    """What to change in the fields of a job."""

    absent: tuple[str, ...] = ()
    other: Mapping[str, Schema] = field(default_factory=dict)
    """Fields that are new, or of another type."""
    words: Mapping[str, Words] = field(default_factory=dict)

    def applied(self, fields: Mapping[str, Schema]) -> dict[str, Schema]:
        """The fields as they are after all changes."""
        corrected = {name: schema for name, schema in fields.items() if name not in self.absent}
        for name, words in self.words.items():
            items = fields[name]["items"]
            kept = [word for word in items["enum"] if word not in words.fewer]
            corrected[name] = {**fields[name], "items": {**items, "enum": [*kept, *words.more]}}
        return {**corrected, **self.other}


def _flag(meaning: str) -> Schema:
    """A field that acts by being there: its ``false`` would be taken for ``true``."""
    return {"const": True, "description": meaning}


V0_0_38 = Corrections(
    absent=(
        "argv",  # slurmrestd dies of it (SIGSEGV)
        "batch_features",  # likewise
        "cpu_binding",  # refused: "Disabled key"
    ),
    other={
        "begin_time": {
            "type": "string",
            "description": "As sbatch's --begin",
            "$comment": "The documented integer is refused.",
        },
        "current_working_directory": {
            "type": "string",
            "description": "Where the job runs",
        },  # the document describes standard_output here
        "environment": {
            "type": "object",
            "additionalProperties": {"type": "string"},
        },  # the document does not say what is inside
        "exclude_nodes": {
            "type": "string",
            "description": "As sbatch's --exclude",
            "$comment": "Not documented; excluded_nodes is refused.",
        },
        "exclusive": {
            "enum": ["exclusive", "oversubscribe", "user", "mcs"],
            "$comment": "The documented true and false are refused.",
        },
        "get_user_environment": {
            "type": "string",
            "description": "As sbatch's --get-user-env",
            "$comment": "The documented boolean is refused.",
        },
        "kill_on_invalid_dependency": _flag("End the job when its dependency cannot be fulfilled"),
        "minimum_nodes": _flag("Of a range of node counts, prefer the smaller"),
        "no_kill": {"const": "set", "$comment": "The documented boolean is refused."},
        "no_requeue": _flag("As sbatch's --no-requeue; not documented"),
        "nodelist": {
            "type": "string",
            "description": "As sbatch's --nodelist",
            "$comment": "Not documented; required_nodes is refused.",
        },
        "nodes": {
            "type": ["string", "integer"],
            "description": "As sbatch's --nodes",
            "$comment": "The documented array is taken with 200 and ignored.",
        },
        "oversubscribe": _flag("As sbatch's --oversubscribe"),
        "requeue": _flag("As sbatch's --requeue; no_requeue is its opposite"),
        "signal": {
            "type": "string",
            "description": "As sbatch's --signal",
            "$comment": "The documented pattern is none. 'B:' is refused.",
        },
        "spread_job": _flag("As sbatch's --spread-job"),
        "temporary_disk_per_node": {"type": "integer", "description": "MB; not documented"},
        "wait_all_nodes": {"enum": [0, 1], "$comment": "The documented boolean is refused."},
    },
)

V0_0_39_FROM_V0_0_40 = Corrections(
    absent=("cores_per_socket", "rlimits"),
    other={"begin_time": {"type": "integer", "description": "UNIX timestamp"}},
    words={
        "cpu_binding_flags": Words(
            more=(
                "CPU_AUTO_BIND_TO_THREADS",
                "CPU_AUTO_BIND_TO_CORES",
                "CPU_AUTO_BIND_TO_SOCKETS",
                "SLURMD_OFF_SPEC",
                "CPU_BIND_OFF",
            )
        ),
        "flags": Words(
            more=("GRED_BINDING_DISABLED",),  # spelt so
            fewer=(
                "GRES_BINDING_DISABLED",
                "GRES_ONE_TASK_PER_SHARING",
                "GRES_MULTIPLE_TASKS_PER_SHARING",
                "GRES_ALLOW_TASK_SHARING",
            ),
        ),
        "kill_warning_flags": Words(fewer=("NO_CRON_JOBS", "VERBOSE", "CRON_JOBS")),
    },
)
