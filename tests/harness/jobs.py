"""Jobs for tests that are not about the intake."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pipeline.job import Container, Image, Job, Resources, UpstreamScript

NAME = "20240102030405-ABCDE-app-demo_s1"

_CONTAINER_FIELDS = {field.name for field in fields(Container)}
_SCRIPT_FIELDS = {field.name for field in fields(UpstreamScript)}

JOB = Job(
    name=NAME,
    number=1,
    resources=Resources(nodes=1, cores=1, exclusive=False),
    work=UpstreamScript(
        text="#!/bin/bash\n{DOWNSTREAM_PARAMETERS}\necho\n",
        app_image=Image("ubuntu"),
        init_image=Image("registry.example.com/initv2:latest"),
        app_in_global_registries=False,
    ),
    overlay_mb=0,
    bearer="the bearer",
)


NATIVE = Job(
    name="hello",
    number=0,
    resources=Resources(nodes=1, cores=1, exclusive=False),
    work=Container(image=Image("registry.example.com/group/app:1"), command=("hello",)),
    overlay_mb=0,
    user="kirby",
)


def native_job(**changes: Any) -> Job:
    """A native job like any other but for these fields, its container's among them."""
    of_container = {name: changes.pop(name) for name in _CONTAINER_FIELDS & set(changes)}
    return replace(NATIVE, work=replace(NATIVE.work, **of_container), **changes)


def script_of(job: Job) -> UpstreamScript:
    """What a job of the upstream runs."""
    assert isinstance(job.work, UpstreamScript)
    return job.work


def job(**changes: Any) -> Job:
    """A job of the upstream like any other but for these fields, its script's among them."""
    of_script = {name: changes.pop(name) for name in _SCRIPT_FIELDS & set(changes)}
    return replace(JOB, work=replace(JOB.work, **of_script), **changes)
