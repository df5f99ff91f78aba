"""Jobs for tests that are not about the intake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.job import Image, Job, Resources

NAME = "20240102030405-ABCDE-app-demo_s1"

JOB = Job(
    name=NAME,
    number=1,
    resources=Resources(nodes=1, cores=1, exclusive=False),
    script="#!/bin/bash\n{DOWNSTREAM_PARAMETERS}\necho\n",
    app_image=Image("ubuntu"),
    init_image=Image("registry.example.com/initv2:latest"),
    app_in_global_registries=False,
    overlay_mb=0,
    bearer="the bearer",
)


def job(**changes: Any) -> Job:
    """A job like any other but for these fields."""
    return replace(JOB, **changes)
