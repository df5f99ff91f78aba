"""The command line: ``jarvice-downstream serve | submit | status | ...``."""

from __future__ import annotations

import os

import click

from pipeline import __version__
from pipeline.cli.dry_run import render, validate
from pipeline.cli.faults import friendly
from pipeline.cli.jobs import cancel, logs, release, status, submit
from pipeline.cli.serve import run_service
from pipeline.settings.publish import defaults_yaml, settings_schema


@click.group()
@click.version_option(__version__, prog_name="jarvice-downstream")
def main() -> None:
    """A downstream for HPC portals: takes jobs over HTTP and runs them on a Slurm cluster."""


@main.command()
@friendly
def serve() -> None:
    """Start the service. Settings come from the environment; `settings` lists them."""
    run_service(os.environ)


@main.command()
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the YAML file instead.")
def settings(schema: bool) -> None:
    """Print every setting with its default, meaning and variable, as YAML."""
    click.echo(settings_schema() if schema else defaults_yaml(), nl=False)


for command in (render, validate, submit, status, logs, cancel, release):
    main.add_command(click.command(name=command.__name__)(friendly(command)))
