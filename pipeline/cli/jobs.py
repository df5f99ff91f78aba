"""``submit``, ``status``, ``logs``, ``cancel`` and ``release``: native jobs, straight to the cluster."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from pipeline import settings
from pipeline.cli.faults import EXIT_FAILED, exit_code_of, tell
from pipeline.cli.job_file import read_job_file
from pipeline.cli.start import connect
from pipeline.errors import CallerError, DownstreamError, InvalidRequest, SettingsFault
from pipeline.identity import TOKEN_VARIABLE
from pipeline.job import JobStatus, Phase
from pipeline.native import NativeJobs, Submitted
from pipeline.slurm.states import show_seconds

EXIT_INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C has ended."""

_HEAD = ("ID", "NAME", "USER", "STATE", "TIME", "EXIT", "NODES")
_NODES_SHOWN = 4

_TOLD_ANYWAY = ("pipeline.tracker", "paramiko", "urllib3")
"""Those who log what an error says as well."""

_JOB = click.argument("job")
_JOBS = click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="The job's name, instead of the one in FILE.")
@click.option("--held", is_flag=True, help="The job waits until it is released.")
@click.option("--wait", is_flag=True, help="Wait for the job's end, and end with its exit code.")
@_JSON
def submit(file: Path, name: str | None, held: bool, wait: bool, as_json: bool) -> None:
    """Submit the native job spec in FILE, YAML or JSON."""
    with _about_file(file):
        document = read_job_file(file)
        if document.is_form:
            raise InvalidRequest("is a form of the upstream, and no native job spec")
    if name is not None:
        document = document.changed(name=name)
    if held:
        document = document.changed(held=True)
    with _native_jobs(alone=wait) as (native, lasts):
        with _about_file(file), document.placing_faults(), _telling_of_doubt():
            sent = native.submit(document.content, os.environ.get(TOKEN_VARIABLE, ""))
        if not as_json:
            click.echo(_words_of(sent))
        if not wait:
            if as_json:
                click.echo(json.dumps(_facts_of(sent)))
            return
        job = _awaited(native, sent, lasts)
        if as_json:
            click.echo(json.dumps(_facts_of(sent) | _facts(job)))
    sys.exit(EXIT_FAILED if job.exit_code is None else job.exit_code)


@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@_JSON
def status(jobs: tuple[str, ...], as_json: bool) -> None:
    """Show each JOB, a name or an id; without one, all native jobs that Slurm still knows."""
    with _native_jobs() as (native, _):
        code = 0
        if jobs:
            found, code = _found(native, jobs)
        else:
            found = native.all()
    if as_json:
        click.echo(json.dumps([_facts(job) for job in found], indent=2))
    elif found:
        click.echo(_table(found))
    elif not jobs:
        click.echo("there are no native jobs", err=True)
    sys.exit(code)


@_JOB
@click.option("--lines", type=click.IntRange(min=0), default=0, help="The last N lines only.", metavar="N")
@click.option("--follow", is_flag=True, help="Print output as it comes, until the job has ended.")
def logs(job: str, lines: int, follow: bool) -> None:
    """Print the output of JOB, a name or an id."""
    with _native_jobs() as (native, _):
        found = native.find(job)
        if not follow:
            _put_out([native.output(found, lines)])
            return
        with _leaving_alone(found.name, found.job_id):
            _put_out(_telling_states(native.follow(found, lines, _ask_again)))


@_JOBS
def cancel(jobs: tuple[str, ...]) -> None:
    """End each JOB, a name or an id. Its files stay."""

    def end(native: NativeJobs, job: JobStatus) -> str:
        return "is cancelled" if native.cancel(job) else f"has ended already: {job.state}"

    _with_each(jobs, end)


@_JOBS
def release(jobs: tuple[str, ...]) -> None:
    """Let each held JOB run, a name or an id."""

    def let_run(native: NativeJobs, job: JobStatus) -> str:
        native.release(job)
        return "is released"

    _with_each(jobs, let_run)


@contextmanager
def _native_jobs(*, alone: bool = False) -> Iterator[tuple[NativeJobs, bool]]:
    """The use cases, with the settings of the environment, and whether jobs outlast this process.

    ``alone``: no other process has to know of the job.

    Raises:
        SettingsFault: lists everything that stops a start.
        InvalidRequest: no other process could.
    """
    _log_notes()
    reading = settings.read(os.environ)
    settings.warn_unknown(os.environ)
    chosen = reading.settings
    lasts = chosen.connector != "local"
    if not lasts and not alone:
        raise InvalidRequest(
            "with the local connector a job lasts as long as the command that has submitted it, and is known "
            "to no other: use submit --wait"
        )
    connector, faults = connect(reading, chosen.for_native_jobs())
    if faults or not connector:
        raise SettingsFault(faults)
    try:
        yield NativeJobs(chosen, connector), lasts
    finally:
        connector.close()


def _log_notes() -> None:
    """What a service would log as a warning is a note to a person; what is told anyway is not."""
    notes = logging.StreamHandler(sys.stderr)
    notes.addFilter(lambda record: not record.name.startswith(_TOLD_ANYWAY))
    logging.basicConfig(level=logging.WARNING, handlers=[notes], format="note: %(message)s")


@contextmanager
def _about_file(file: Path) -> Iterator[None]:
    """What the caller has to change is told with the file."""
    try:
        yield
    except CallerError as fault:
        raise InvalidRequest(f"{file}: {fault}") from None


@contextmanager
def _telling_of_doubt() -> Iterator[None]:
    """Ctrl-C while a job is sent."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            "interrupted: the job may be submitted or not; the same command again makes sure", err=True
        )
        sys.exit(EXIT_INTERRUPTED)


def _awaited(native: NativeJobs, sent: Submitted, lasts: bool) -> JobStatus:
    """The job when it has ended, with its states on standard error until then."""
    with _leaving_alone(sent.ref.name, sent.ref.job_id, lasts=lasts):
        for job in native.watch(sent.ref, _ask_again):
            click.echo(_state_of(job), err=True)
        return job


@contextmanager
def _leaving_alone(name: str, job_id: str, *, lasts: bool = True) -> Iterator[None]:
    """Ctrl-C in here ends the command and not the job, if a job can last longer."""
    try:
        yield
    except KeyboardInterrupt:
        what = "is left as it is; `cancel` ends it" if lasts else "ends with this command"
        click.echo(f"interrupted: {name} (job {job_id}) {what}", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _found(native: NativeJobs, words: Iterable[str]) -> tuple[list[JobStatus], int]:
    """The jobs, and the exit code of the first that is none."""
    found = []
    code = 0
    for word in words:
        try:
            found.append(native.find(word))
        except DownstreamError as fault:
            tell(fault)
            code = code or exit_code_of(fault)
    return found, code


def _with_each(words: Sequence[str], do: Callable[[NativeJobs, JobStatus], str]) -> None:
    """Do it with every job; tell every fault, and fail at the end if there was one."""
    with _native_jobs() as (native, _):
        found, code = _found(native, words)
        for job in found:
            try:
                click.echo(f"{job.name} (job {job.job_id}) {do(native, job)}")
            except DownstreamError as fault:
                tell(fault)
                code = code or exit_code_of(fault)
    sys.exit(code)


def _telling_states(seen: Iterable[tuple[JobStatus, bytes]]) -> Iterator[bytes]:
    """The output; the states that the job goes through meanwhile are told."""
    last: JobStatus | None = None
    for job, piece in seen:
        yield piece
        if job.phase is not Phase.ENDED and (not last or job.state != last.state):
            click.echo(_state_of(job), err=True)
        last = job
    if last:
        click.echo(_state_of(last), err=True)


def _put_out(pieces: Iterable[bytes]) -> None:
    """Bytes as they are, each as soon as it is there."""
    for piece in pieces:
        click.echo(piece, nl=False)


def _ask_again(fault: DownstreamError) -> None:
    click.echo(f"note: {fault}; asking again", err=True)


def _words_of(sent: Submitted) -> str:
    if sent.is_new:
        return f"{sent.ref.name} is submitted, as job {sent.ref.job_id}"
    return f"{sent.ref.name} was submitted before, as job {sent.ref.job_id}"


def _state_of(job: JobStatus) -> str:
    """One line on where a job is."""
    text = f"{job.name} (job {job.job_id}): {job.state}"
    if job.phase is Phase.ENDED:
        text += f" after {show_seconds(job.elapsed)}"
        return text if job.exit_code is None else f"{text}, exit code {job.exit_code}"
    return f"{text} on {_nodes(job)}" if job.phase is Phase.RUNNING and job.nodes else text


def _facts_of(sent: Submitted) -> dict[str, object]:
    return {"name": sent.ref.name, "job_id": sent.ref.job_id, "user": sent.user, "new": sent.is_new}


def _facts(job: JobStatus) -> dict[str, object]:
    """A job for scripts."""
    return {
        "name": job.name,
        "job_id": job.job_id,
        "user": job.owner,
        "state": job.state,
        "phase": job.phase.value,
        "elapsed": job.elapsed,
        "exit_code": job.exit_code,
        "nodes": list(job.nodes),
    }


def _table(jobs: Sequence[JobStatus]) -> str:
    """Jobs for people, one a line."""
    rows = [_HEAD, *(_row(job) for job in jobs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(job: JobStatus) -> tuple[str, ...]:
    code = "" if job.exit_code is None else str(job.exit_code)
    return job.job_id, job.name, job.owner, job.state, show_seconds(job.elapsed), code, _nodes(job)


def _nodes(job: JobStatus) -> str:
    shown = ",".join(job.nodes[:_NODES_SHOWN])
    return shown if len(job.nodes) <= _NODES_SHOWN else f"{shown},... ({len(job.nodes)})"
