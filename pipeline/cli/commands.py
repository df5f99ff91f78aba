"""All commands, in one group."""

from __future__ import annotations

import logging
import os

import click

from pipeline import __version__
from pipeline.cli.dry_run import render, validate
from pipeline.cli.faults import friendly
from pipeline.cli.jobs import cancel, logs, release, status, submit
from pipeline.cli.output import put_out
from pipeline.cli.serve import run_service
from pipeline.settings.publish import defaults_yaml, settings_schema


@click.group()
@click.version_option(__version__, prog_name="jarvice-downstream")
def commands() -> None:
    """A downstream for HPC portals: takes jobs over HTTP and runs them on a Slurm cluster."""


@commands.command()
@friendly
def serve() -> None:
    """Start the service. Settings come from the environment; `settings` lists them."""
    run_service(os.environ)
    # Python would wait for threads that wait for the cluster, as a poll's that nobody asks for any more.
    logging.shutdown()
    os._exit(0)


@commands.command()
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the YAML file instead.")
@friendly
def settings(schema: bool) -> None:
    """Print every setting with its default, meaning and variable, as YAML."""
    put_out(settings_schema() if schema else defaults_yaml(), nl=False)


for command in (render, validate, submit, status, logs, cancel, release):
    commands.add_command(click.command(name=command.__name__)(friendly(command)))
