"""The command line: ``jarvice-downstream serve | render | validate | settings``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec

import click

from pipeline import __version__
from pipeline.cli.dry_run import EXIT_WRONG_INPUT, render, validate
from pipeline.cli.serve import run_service
from pipeline.errors import CallerError, DownstreamError, SettingsFault
from pipeline.settings.publish import defaults_yaml, settings_schema

_P = ParamSpec("_P")

EXIT_FAILED = 1
EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h."""


def _friendly(function: Callable[_P, None]) -> Callable[_P, None]:
    """Errors become one message and an exit code."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except DownstreamError as fault:
            _exit_with(fault)

    return wrapped


def _exit_with(fault: DownstreamError) -> NoReturn:
    if isinstance(fault, SettingsFault):
        click.echo("error: these settings cannot be used:", err=True)
        for sentence in fault.faults:
            click.echo(f"  - {sentence}", err=True)
        sys.exit(EXIT_WRONG_INPUT)
    click.echo(f"error: {fault}", err=True)
    if isinstance(fault, CallerError):
        sys.exit(EXIT_WRONG_INPUT)
    sys.exit(EXIT_TRY_AGAIN if fault.worth_trying_again else EXIT_FAILED)


@click.group()
@click.version_option(__version__, prog_name="jarvice-downstream")
def main() -> None:
    """A downstream for HPC portals: takes jobs over HTTP and runs them on a Slurm cluster."""


@main.command()
@_friendly
def serve() -> None:
    """Start the service. Settings come from the environment; `settings` lists them."""
    run_service(os.environ)


@main.command()
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the YAML file instead.")
def settings(schema: bool) -> None:
    """Print every setting with its default, meaning and variable, as YAML."""
    click.echo(settings_schema() if schema else defaults_yaml(), nl=False)


main.add_command(click.command(name="render")(_friendly(render)))
main.add_command(click.command(name="validate")(_friendly(validate)))
