"""The form of POST /submit: what makes a job, and what is refused, by name."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from pipeline import intake
from pipeline.errors import InvalidJob
from pipeline.prepare import Preparer
from pipeline.settings import Settings
from tests.harness.forms import form, script
from tests.harness.jobs import script_of


def test_a_form_becomes_a_job() -> None:
    sent = form(script("echo", JOBOBJ_USER="reverse_engineer-demo", JARVICE_CMD="aGk="), nodes=3)
    job = intake.read_form(sent, Settings())
    assert (job.name, job.number) == (sent["name"], sent["number"])
    assert (job.resources.nodes, job.resources.cores) == (3, 1)
    ours = script_of(job)
    assert (ours.application, job.user, ours.command) == ("app", "reverse_engineer-demo", "aGk=")
    assert (job.architecture, ours.appdef_version, job.held) == ("amd64", 2, False)
    assert job.bearer == sent["bearer"]


@pytest.mark.parametrize("held", [True, False, None])
def test_a_job_is_held_when_the_form_says_so(held: bool | None) -> None:
    assert intake.read_form(form(script("echo"), held=held), Settings()).held is bool(held)


def test_fields_that_are_not_known_are_no_fault() -> None:
    intake.read_form(form(script("echo"), something_new={"a": 1}), Settings())


@pytest.mark.parametrize("field", ["name", "number", "nodes", "hpc_script", "bearer"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    sent = form(script("echo"))
    del sent[field]
    with pytest.raises(InvalidJob) as fault:
        intake.read_form(sent, Settings())
    assert fault.value.message.startswith(f"{field} is missing")
    assert fault.value.status == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "no-digit-first_s1"),
        ("name", "2022/../../etc_s1"),
        ("name", "2022 with spaces"),
        ("name", "2022\n#SBATCH --uid=0"),
        ("name", "20220420201746-IZP8L-a-b_s1\n"),
        ("name", "2022-$(touch x)"),
        ("name", "2" * 300),
        ("name", 20220420201746),
        ("number", "7"),
        ("number", -1),
        ("number", True),
        ("nodes", 0),
        ("nodes", 100_001),
        ("nodes", "2"),
        ("nodes", 1.5),
        ("held", "yes"),
        ("hpc_script", "echo"),
        ("hpc_script", {"singularity": None}),
        ("bearer", ""),
        ("bearer", None),
    ],
)
def test_a_field_of_the_wrong_form_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidJob) as fault:
        intake.read_form({**form(script("echo")), field: value}, Settings())
    assert fault.value.message.startswith(field)


def test_a_whole_number_may_come_as_a_float() -> None:
    job = intake.read_form(form(script("echo"), nodes=json.loads("2.0")), Settings())
    assert repr(job.resources.nodes) == "2"


@pytest.mark.parametrize("document", [None, [], "text", 5])
def test_a_form_that_is_no_object_is_refused(document: Any) -> None:
    with pytest.raises(InvalidJob, match="the form"):
        intake.read_form(document, Settings())


def test_every_error_carries_the_name_of_the_job() -> None:
    sent = form(script("echo", JARVICE_CPU_CORES="many"))
    with pytest.raises(InvalidJob) as fault:
        intake.read_form(sent, Settings())
    assert fault.value.job == sent["name"]


def test_the_executor_chooses_the_script() -> None:
    sent = form(script("echo"))
    sent["hpc_script"] = {"other": "!!!", "mine": sent["hpc_script"]["singularity"]}
    job = intake.read_form(sent, Settings(executor="mine"))
    assert script_of(job).text == script("echo")
    with pytest.raises(InvalidJob, match=r"hpc_script.*'singularity'"):
        intake.read_form(sent, Settings())


@pytest.mark.parametrize(
    ("encoded", "what"),
    [
        ("not base64!", "base64"),
        ("bär", "base64"),
        ("YQ", "base64"),
        (b64encode(b"\xff\xfe").decode(), "UTF-8"),
        (b64encode(b"echo \0").decode(), "NUL"),
    ],
)
def test_a_script_that_cannot_be_read_is_refused(encoded: str, what: str) -> None:
    sent = {**form(script("echo")), "hpc_script": {"singularity": encoded}}
    with pytest.raises(InvalidJob, match=what) as fault:
        intake.read_form(sent, Settings())
    assert fault.value.message.startswith("hpc_script.singularity: ")


def test_base64_may_have_line_breaks() -> None:
    sent = form(script("echo " + "long " * 50))
    encoded = sent["hpc_script"]["singularity"]
    wrapped = "\r\n".join(encoded[place : place + 76] for place in range(0, len(encoded), 76))
    job = intake.read_form({**sent, "hpc_script": {"singularity": wrapped}}, Settings())
    assert script_of(job).text.startswith("#!/bin/bash")


def test_a_large_script_is_refused_with_its_size() -> None:
    preparer = Preparer(Settings())
    with pytest.raises(InvalidJob, match=r"hpc_script.*4[12]\d{5} bytes"):
        preparer.render(preparer.check(form(script("#" * (4 * 1024 * 1024)))))
