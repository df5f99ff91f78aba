"""``submit``, ``status``, ``logs``, ``cancel`` and ``release``: native jobs, straight to the cluster."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import click

from pipeline import settings
from pipeline.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from pipeline.cli.faults import exit_code_of, tell
from pipeline.cli.job_file import FILE, FileArgument, JobFile, read_job_file
from pipeline.cli.job_views import (
    facts_of,
    facts_of_submission,
    identity_of,
    table,
    words_of,
    words_of_submission,
)
from pipeline.cli.output import put_out
from pipeline.cli.start import connect, ending_on_signals
from pipeline.errors import DownstreamError, InvalidJob, InvalidRequest, NotFound, SettingsFault
from pipeline.identity import TOKEN_VARIABLE
from pipeline.job import JobStatus, Phase
from pipeline.native import NativeJobs, Submitted, is_news
from pipeline.redaction import LogLines, hook_into_python

_TOLD_ANYWAY = ("pipeline.tracker", "paramiko", "urllib3")
"""Those who log what an error says as well."""

_JOB = click.argument("job")
_JOBS = click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
_USER = click.option("--user", default="", help="Whose JOB it is; a name may be that of several users' jobs.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.argument("file", type=FILE)
@click.option("--name", help="The job's name, instead of the one in FILE.")
@click.option("--held", is_flag=True, help="The job waits until it is released.")
@click.option("--wait", is_flag=True, help="Wait for the job's end, and end with its exit code.")
@_JSON
def submit(file: FileArgument, name: str | None, held: bool, wait: bool, as_json: bool) -> None:
    """Submit the native job spec in FILE, YAML or JSON; - is standard input."""
    document = _spec_in(file)
    if name is not None:
        document = document.with_options(name=name)
    if held:
        document = document.with_options(held=True)
    with _native_jobs(alone=wait, held=document.is_held) as (native, lasts):
        with _naming_the_source(file, document), _telling_of_doubt():
            sent = native.submit(document.content, os.environ.get(TOKEN_VARIABLE, ""), _ask_again)
        facts = facts_of_submission(sent)
        code = 0
        if not as_json:
            put_out(words_of_submission(sent))
        try:
            if wait:
                job = _awaited(native, sent, lasts)
                facts |= facts_of(job)
                code = EXIT_FAILED if job.exit_code is None else job.exit_code
        finally:  # whichever way the waiting ends, a script has the job's id
            if as_json:
                put_out(json.dumps(facts))
    sys.exit(code)


@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@_USER
@_JSON
def status(jobs: tuple[str, ...], user: str, as_json: bool) -> None:
    """Show each JOB, a name or an id; without one, all native jobs that Slurm still knows."""
    with _native_jobs() as (native, _):
        code = 0
        if jobs:
            found, code = _found(native, jobs, user)
        else:
            found = native.all(user)
    if as_json:
        put_out(json.dumps([facts_of(job) for job in found], indent=2))
    elif found:
        put_out(table(found))
    elif not jobs:
        click.echo("there are no native jobs" + (f" of {user}" if user else ""), err=True)
    sys.exit(code)


@_JOB
@_USER
@click.option("--lines", type=click.IntRange(min=0), default=0, help="The last N lines only.", metavar="N")
@click.option("--follow", is_flag=True, help="Print output as it comes, until the job has ended.")
def logs(job: str, user: str, lines: int, follow: bool) -> None:
    """Print the output of JOB, a name or an id."""
    with _native_jobs() as (native, _):
        found = native.find(job, user)
        if not follow:
            put_out(native.output(found, lines), nl=False)
            return
        with _leaving_alone(found.name, found.job_id):
            for piece in _telling_states(native.follow(found, lines, _ask_again)):
                put_out(piece, nl=False)


@_JOBS
@_USER
@_JSON
def cancel(jobs: tuple[str, ...], user: str, as_json: bool) -> None:
    """End each JOB, a name or an id. Its files stay."""

    def end(native: NativeJobs, job: JobStatus) -> tuple[bool, str]:
        is_cancelled = native.cancel(job)
        return is_cancelled, "is cancelled" if is_cancelled else f"has ended already: {job.state}"

    _with_each(jobs, user, end, fact="cancelled" if as_json else "")


@_JOBS
@_USER
@_JSON
def release(jobs: tuple[str, ...], user: str, as_json: bool) -> None:
    """Let each held JOB run, a name or an id."""

    def let_run(native: NativeJobs, job: JobStatus) -> tuple[bool, str]:
        native.release(job)
        return True, "is released"

    _with_each(jobs, user, let_run, fact="released" if as_json else "")


@contextmanager
def _native_jobs(*, alone: bool = False, held: bool = False) -> Iterator[tuple[NativeJobs, bool]]:
    """The use cases, with the settings of the environment, and whether jobs outlast this process.

    ``alone``: no other process has to know of the job, unless it is ``held``.

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
    if not lasts and held:
        raise InvalidRequest(
            "with the local connector no other command could release the job: do not hold it"
        )
    with ending_on_signals(KeyboardInterrupt):
        connector, faults = connect(reading, chosen.for_native_jobs(), local_will_do=alone)
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
    notes.setFormatter(LogLines("note: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[notes])
    hook_into_python()


def _spec_in(file: FileArgument) -> JobFile:
    """The native job spec in a file. Raises InvalidRequest, which names the file."""
    try:
        document = read_job_file(file)
    except InvalidRequest as fault:
        raise InvalidRequest(f"{file}: {fault}") from None
    if document.is_form:
        raise InvalidRequest(f"{file}: is a form of the upstream, and no native job spec")
    return document


@contextmanager
def _naming_the_source(file: FileArgument, document: JobFile) -> Iterator[None]:
    """A fault of a field is told with the file, or with the option that has set it."""
    try:
        yield
    except InvalidJob as fault:
        if fault.field in document.options:
            raise InvalidRequest(f"--{fault}") from None
        raise InvalidRequest(f"{file}: {document.placed(fault)}") from None


@contextmanager
def _telling_of_doubt() -> Iterator[None]:
    """Ctrl-C while a job is sent."""
    try:
        yield
    except KeyboardInterrupt:
        unsure = "the job may be submitted or not; the same command again, 20 s from now, makes sure"
        click.echo(f"interrupted: {unsure}", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _awaited(native: NativeJobs, sent: Submitted, lasts: bool) -> JobStatus:
    """The job when it has ended, with its states on standard error until then."""
    with _leaving_alone(sent.ref.name, sent.ref.job_id, lasts=lasts):
        for job in native.watch(sent.ref, _ask_again):
            click.echo(words_of(job), err=True)
        if not lasts:
            _show_output(native, job)
        return job


def _show_output(native: NativeJobs, job: JobStatus) -> None:
    """The output of a job that no other command can show, on standard error: the result is how it ended."""
    with suppress(NotFound):
        click.echo(native.output(job, 0), nl=False, err=True)


@contextmanager
def _leaving_alone(name: str, job_id: str, *, lasts: bool = True) -> Iterator[None]:
    """Ctrl-C in here ends the command and not the job, if a job can last longer."""
    try:
        yield
    except KeyboardInterrupt:
        what = "is left as it is; `cancel` ends it" if lasts else "ends with this command"
        click.echo(f"interrupted: {name} (job {job_id}) {what}", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _found(native: NativeJobs, words: Iterable[str], user: str) -> tuple[list[JobStatus], int]:
    """The jobs, and the exit code of the first that is none."""
    found = []
    code = 0
    for word in words:
        try:
            found.append(native.find(word, user))
        except DownstreamError as fault:
            tell(fault)
            code = code or exit_code_of(fault)
    return found, code


def _with_each(
    words: Sequence[str],
    user: str,
    do: Callable[[NativeJobs, JobStatus], tuple[bool, str]],
    *,
    fact: str,
) -> None:
    """Do it with every job; tell every fault, and fail at the end if there was one.

    ``do`` says whether it was done, and what a person is told. A script is told whether it was done, as this
    ``fact``; without one there is no script.
    """
    facts = []
    with _native_jobs() as (native, _):
        found, code = _found(native, words, user)
        for job in found:
            is_done = False
            try:
                is_done, said = do(native, job)
                if not fact:
                    put_out(f"{job.name} (job {job.job_id} of {job.owner}) {said}")
            except DownstreamError as fault:
                tell(fault)
                code = code or exit_code_of(fault)
            facts.append({**identity_of(job), fact: is_done, "state": job.state})
    if fact:
        put_out(json.dumps(facts, indent=2))
    sys.exit(code)


def _telling_states(seen: Iterable[tuple[JobStatus, bytes]]) -> Iterator[bytes]:
    """The output; the states that the job goes through meanwhile are told."""
    last: JobStatus | None = None
    for job, piece in seen:
        yield piece
        if job.phase is not Phase.ENDED and is_news(job, last):
            click.echo(words_of(job), err=True)
        last = job
    if last:
        click.echo(words_of(last), err=True)


def _ask_again(fault: DownstreamError) -> None:
    click.echo(f"note: {fault}; asking again", err=True)
