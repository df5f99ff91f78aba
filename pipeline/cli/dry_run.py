"""``render`` and ``validate``: the way of a submission, stopped before anything is sent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import click

from pipeline import settings
from pipeline.cli.faults import exit_code_of, tell
from pipeline.cli.job_file import FILE, FileArgument, read_job_file
from pipeline.cli.out_folder import OutFolder
from pipeline.cli.output import put_out
from pipeline.errors import CallerError, DownstreamError, InvalidJob, SettingsFault
from pipeline.identity import owner_by_token, unverified
from pipeline.job import Job
from pipeline.prepare import Preparer
from pipeline.redaction import mask
from pipeline.render import BatchScript, Payload, PayloadRenderer
from pipeline.render.sealing import spelled
from pipeline.settings import Settings
from pipeline.slurm import directives
from pipeline.slurm.api_versions import API_VERSIONS

_FILES = click.argument("files", nargs=-1, required=True, type=FILE)
_INTERFACE = click.option(
    "--interface",
    type=click.Choice(["cli", "http"]),
    help="What is sent: a batch script (cli), or slurmrestd's payload (http). "
    "Default: JARVICE_SLURM_INTERFACE.",
)
_API_VERSION = click.option(
    "--api-version",
    type=click.Choice(API_VERSIONS),
    metavar="VERSION",
    help=f"slurmrestd's API, {API_VERSIONS[-1]} to {API_VERSIONS[0]}. "
    "Default: JARVICE_SLURMRESTD_API_VERSION, or the newest.",
)


@_FILES
@click.option("--context", is_flag=True, help="Print the variables that the templates get instead.")
@click.option("--show-secrets", is_flag=True, help="Do not mask secrets.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write <name>.sh or <name>.json files into this folder instead of printing.",
)
@_INTERFACE
@_API_VERSION
def render(
    files: tuple[FileArgument, ...],
    context: bool,
    show_secrets: bool,
    out: Path | None,
    interface: str | None,
    api_version: str | None,
) -> None:
    """Print what would be sent for each FILE: a native job spec, or the args of the upstream's /submit."""
    chosen = _load(interface, api_version)
    preparer = Preparer(chosen, secrets_inside=show_secrets)
    payloads = _payloads(chosen, api_version)
    folder = OutFolder(out) if out else None

    def show(file: FileArgument, job: Job) -> None:
        # A script that brings its secrets itself has them as its own sed reads them.
        secrets = () if show_secrets else (*job.secrets, *map(spelled, job.secrets))
        if context and payloads:
            text, kind = json.dumps(payloads.context(job, preparer.render(job)), indent=2) + "\n", "json"
        elif context:
            # It does not need the rendering: it is wanted most when a template fails.
            text, kind = json.dumps(preparer.context(job), indent=2) + "\n", "json"
        elif payloads:
            payload = payloads.of(job, preparer.render(job))
            text, kind = replace(payload, secrets=secrets).masked() + "\n", "json"
        else:
            text, kind = preparer.render(job).text, "sh"
        text = mask(text, secrets)
        if folder:
            put_out(str(folder.write(f"{job.name}.{kind}", text, file)))
        else:
            put_out(text.encode("utf-8"), nl=False)

    sys.exit(_code_of(_for_each(files, preparer, show)))


@_FILES
@_INTERFACE
@_API_VERSION
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def validate(
    files: tuple[FileArgument, ...], interface: str | None, api_version: str | None, as_json: bool
) -> None:
    """Check each FILE, a native job spec or an upstream form, as a submission would."""
    chosen = _load(interface, api_version)
    preparer = Preparer(chosen)
    payloads = _payloads(chosen, api_version)

    def check(file: FileArgument, job: Job) -> None:
        batch = preparer.render(job)
        if payloads:
            payloads.of(job, batch)
        if not as_json:
            put_out(f"{file}: valid, job {job.name}")

    outcomes = _for_each(files, preparer, check)
    if as_json:
        put_out(json.dumps(list(map(_facts, files, outcomes)), indent=2))
    sys.exit(_code_of(outcomes))


class _Payloads:
    """Payloads as far as they can be known without the cluster; says what is assumed, once."""

    def __init__(self, chosen: Settings, version: str) -> None:
        self._settings = chosen
        self._version = version
        self._renderer = PayloadRenderer(chosen)
        self._has_said: set[str] = set()

    def of(self, job: Job, batch: BatchScript) -> Payload:
        """The payload of a job. Raises as a submission does."""
        return self._renderer.payload(batch, self._version, **self._owner(job))

    def context(self, job: Job, batch: BatchScript) -> dict[str, object]:
        """The variables that the payload's templates get, the options as they are written."""
        variables = self._renderer.context(batch, self._version, **self._owner(job))
        return {**variables, "options": directives.read(batch.text)}

    def _owner(self, job: Job) -> dict[str, str]:
        """The user and the home folder."""
        user = job.user if job.is_native else self._user_of(job.bearer)
        pattern = self._settings.slurm_user_home or "/home/%u"
        if not self._settings.slurm_user_home:
            self._note(f"home folders are assumed to be {pattern}; a submission asks the cluster for them")
        return {"user": user, "home": pattern.replace("%u", user)}

    def _user_of(self, bearer: str) -> str:
        try:
            return owner_by_token(unverified(bearer), self._settings.slurmrestd_user_claim).user
        except CallerError:
            self._note("a bearer token names no user of the cluster; 'user' is assumed")
            return "user"

    def _note(self, text: str) -> None:
        if text not in self._has_said:
            self._has_said.add(text)
            click.echo(f"note: {text}", err=True)


def _load(interface: str | None, api_version: str | None) -> Settings:
    """The settings, with the interface that the options name. Raises SettingsFault."""
    if interface == "cli" and api_version:
        raise click.UsageError("--api-version goes with --interface http")
    chosen = settings.load(os.environ)
    return replace(chosen, slurm_interface=interface or ("http" if api_version else chosen.slurm_interface))


def _payloads(chosen: Settings, api_version: str | None) -> _Payloads | None:
    """What makes payloads; None when batch scripts are sent. Raises SettingsFault."""
    if chosen.slurm_interface == "cli":
        return None
    version = api_version or chosen.slurmrestd_api_version
    if version in ("", "auto"):
        version = API_VERSIONS[0]
        click.echo(
            f"note: {version} is shown; a submission asks slurmrestd for the newest that both know", err=True
        )
    return _Payloads(chosen, version)


def _for_each(
    files: tuple[FileArgument, ...], preparer: Preparer, action: Callable[[FileArgument, Job], None]
) -> list[Job | DownstreamError]:
    """Do it with the job of every file; tell every fault. Gives each file's job, or its fault."""
    outcomes: list[Job | DownstreamError] = []
    for file in files:
        try:
            document = read_job_file(file)
            try:
                job = document.check(preparer)
                action(file, job)
            except InvalidJob as fault:
                raise document.placed(fault) from None
            outcomes.append(job)
        except DownstreamError as fault:
            tell(fault, file)
            outcomes.append(fault)
    return outcomes


def _code_of(outcomes: Iterable[Job | DownstreamError]) -> int:
    """The exit code of the first fault."""
    return next((exit_code_of(one) for one in outcomes if isinstance(one, DownstreamError)), 0)


def _facts(file: FileArgument, outcome: Job | DownstreamError) -> dict[str, object]:
    """What became of a file, for scripts."""
    if isinstance(outcome, Job):
        return {"file": file.given, "valid": True, "name": outcome.name, "errors": []}
    errors = outcome.faults if isinstance(outcome, SettingsFault) else [outcome.message]
    return {"file": file.given, "valid": False, "name": None, "errors": list(errors)}
