"""``render`` and ``validate``: the way of a submission, stopped before anything is sent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline import settings
from pipeline.errors import CallerError, InvalidRequest
from pipeline.prepare import Preparer
from pipeline.render import mask

EXIT_WRONG_INPUT = 2

_FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@_FILES
@click.option("--context", is_flag=True, help="Print the variables that the templates get instead.")
@click.option("--show-secrets", is_flag=True, help="Do not mask secrets.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write <name>.sh files into this folder instead of printing.",
)
def render(files: tuple[Path, ...], context: bool, show_secrets: bool, out: Path | None) -> None:
    """Print the batch script that would be sent for each upstream form FILE (the args of /submit)."""
    preparer = Preparer(settings.load(os.environ))

    def show(file: Path) -> None:
        job = preparer.check(_read(file))
        # The context does not need the rendering: it is wanted most when a template fails.
        text = json.dumps(preparer.context(job), indent=2) + "\n" if context else preparer.render(job).text
        text = mask(text, () if show_secrets else job.secrets)
        if out:
            _write(out / f"{job.name}.{'json' if context else 'sh'}", text)
        else:
            click.echo(text.encode("utf-8"), nl=False)

    _for_each(files, show)


@_FILES
def validate(files: tuple[Path, ...]) -> None:
    """Check each upstream form FILE as a submission would."""
    preparer = Preparer(settings.load(os.environ))

    def check(file: Path) -> None:
        click.echo(f"{file}: valid, job {preparer.prepare(_read(file)).job.name}")

    _for_each(files, check)


def _for_each(files: tuple[Path, ...], action: Callable[[Path], None]) -> None:
    """Do it for every file; tell every fault, and fail at the end if there was one."""
    failed = False
    for file in files:
        try:
            action(file)
        except CallerError as fault:
            click.echo(f"error: {file}: {fault}", err=True)
            failed = True
    if failed:
        sys.exit(EXIT_WRONG_INPUT)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as fault:
        raise InvalidRequest(f"cannot be read as JSON: {fault}") from None
    if not isinstance(document, dict):
        raise InvalidRequest("is not a JSON object")
    return document


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # a job's script may hold what only its owner should read
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as fault:
        raise InvalidRequest(f"cannot write {file}: {fault.strerror}") from None
    click.echo(str(file))
