"""Payloads for slurmrestd of jobs with some options of sbatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from pipeline.render import BatchScript, Payload, PayloadRenderer, Renderer
from pipeline.settings import Settings
from tests.harness.jobs import JOB, job


@cache
def _renderers(settings: Settings) -> tuple[Renderer, PayloadRenderer]:
    return Renderer(settings), PayloadRenderer(settings)


def batch(settings: Settings, options: Mapping[str, str | bool]) -> BatchScript:
    asked = {name.replace("_", "-"): value for name, value in options.items()}
    return _renderers(settings)[0].batch_script(job(resources=replace(JOB.resources, sbatch_options=asked)))


def payload(
    version: str, settings: Settings | None = None, options: Mapping[str, str | bool] | None = None
) -> Payload:
    settings = settings or Settings()
    script = batch(settings, options or {})
    return _renderers(settings)[1].payload(script, version, user="kirby", home="/home/kirby")


def fields(version: str, **options: str | bool) -> dict[str, Any]:
    """What the options add to a job's payload, but for the batch script and the environment."""
    plain, asked = payload(version).document["job"], payload(version, options=options).document["job"]
    return {
        name: value for name, value in asked.items() if plain.get(name) != value and name != "environment"
    }


def environment(version: str, settings: Settings | None = None, **options: str | bool) -> dict[str, str]:
    found = payload(version, settings, options).document["job"]["environment"]
    return found if isinstance(found, dict) else dict(entry.split("=", 1) for entry in found)
