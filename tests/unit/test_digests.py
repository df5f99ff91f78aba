"""A job that is sent again is told from another job of its name by a hash of what is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline import intake
from pipeline.settings import Settings
from tests.harness.forms import form, script
from tests.harness.specs import read

DOCKER = json.dumps({"server": "ghcr.io", "username": "robot", "password": "hunter2"})


def digest(sent: dict[str, Any], **settings: Any) -> str:
    return intake.read_form(sent, replace(Settings(), **settings)).digest


def test_a_form_that_is_sent_again_is_the_same_whatever_else_has_changed() -> None:
    sent = form(script("echo", JOBOBJ_DOCKER_SECRET=DOCKER))
    renewed = form(
        script("echo", JOBOBJ_DOCKER_SECRET=DOCKER.replace("hunter2", "renewed")), name=sent["name"]
    )
    assert sent["bearer"] != renewed["bearer"]
    assert sent["number"] != renewed["number"]
    assert digest(sent) == digest(renewed) == digest({**sent, "held": True, "unknown": 1})
    assert digest(sent) == digest(sent, singularity_overlay_size=7, local_registry="registry.example.com")


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": 2},
        {"hpc_script": form(script("echo other"))["hpc_script"]},
        {"hpc_script": form(script("echo", JARVICE_CPU_CORES=2))["hpc_script"]},
        {"hpc_script": form(script("echo", devices=["exclusive=True"]))["hpc_script"]},
    ],
)
def test_a_form_that_asks_for_something_else_is_another_job(change: dict[str, Any]) -> None:
    sent = form(script("echo"))
    assert digest(sent) != digest({**sent, **change})


def test_nothing_of_a_secret_is_in_the_digest() -> None:
    """It stands where other users may read it, and a short password could be guessed from it."""
    digests = {
        digest(form(script("echo", JOBOBJ_DOCKER_SECRET=DOCKER.replace("hunter2", password))))
        for password in ("a", "b", "longer and longer")
    }
    assert len(digests) == 1


def test_a_spec_has_one_too() -> None:
    assert read().digest == read(held=True).digest
    assert read().digest != read(command=["other"]).digest
    assert read().digest != read(nodes=2).digest
