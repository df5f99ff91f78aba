"""How jobs are shown: to people as lines and tables, to scripts as facts."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.job import JobStatus, Phase
from pipeline.native import Submitted
from pipeline.slurm.states import show_seconds

_HEAD = ("ID", "NAME", "USER", "STATE", "TIME", "EXIT", "NODES")
_NODES_SHOWN = 4


def words_of_submission(sent: Submitted) -> str:
    """What became of a submission."""
    if sent.is_new:
        return f"{sent.ref.name} is submitted, as job {sent.ref.job_id}"
    return (
        f"{sent.ref.name} was submitted before, as job {sent.ref.job_id}; nothing new is started. "
        "Another run needs another name: --name"
    )


def facts_of_submission(sent: Submitted) -> dict[str, object]:
    """A submission for scripts."""
    return {"name": sent.ref.name, "job_id": sent.ref.job_id, "user": sent.user, "new": sent.is_new}


def words_of(job: JobStatus) -> str:
    """One line on where a job is."""
    text = f"{job.name} (job {job.job_id}): {_state(job)}"
    if job.phase is Phase.ENDED:
        text += f" after {show_seconds(job.elapsed)}"
        return text if job.exit_code is None else f"{text}, exit code {job.exit_code}"
    return f"{text} on {_nodes(job)}" if job.phase is Phase.RUNNING and job.nodes else text


def identity_of(job: JobStatus) -> dict[str, object]:
    """Which job it is, for scripts."""
    return {"name": job.name, "job_id": job.job_id, "user": job.owner}


def facts_of(job: JobStatus) -> dict[str, object]:
    """A job for scripts."""
    return {
        **identity_of(job),
        "state": job.state,
        "phase": job.phase.value,
        "elapsed": job.elapsed,
        "exit_code": job.exit_code,
        "nodes": list(job.nodes),
        "reason": job.reason,
    }


def table(jobs: Sequence[JobStatus]) -> str:
    """Jobs for people, one a line."""
    rows = [_HEAD, *(_row(job) for job in jobs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(job: JobStatus) -> tuple[str, ...]:
    code = "" if job.exit_code is None else str(job.exit_code)
    return job.job_id, job.name, job.owner, _state(job), show_seconds(job.elapsed), code, _nodes(job)


def _state(job: JobStatus) -> str:
    return f"{job.state} ({job.reason})" if job.reason else job.state


def _nodes(job: JobStatus) -> str:
    shown = ",".join(job.nodes[:_NODES_SHOWN])
    return shown if len(job.nodes) <= _NODES_SHOWN else f"{shown},... ({len(job.nodes)})"
