"""The keys of a script: their meaning for the job, and their faults."""

from __future__ import annotations

import pytest

from pipeline import intake
from pipeline.errors import InvalidJob
from pipeline.job import Job
from pipeline.settings import Settings
from tests.harness.forms import form, script


def job_with(**keys: object) -> Job:
    return intake.read_form(form(script("echo", devices=None, **keys)), Settings())


@pytest.mark.parametrize("walltime", ["00:00:01", "01:30:00", "26:03:04", "720:00:00"])
def test_walltime_is_hours_minutes_seconds(walltime: str) -> None:
    assert job_with(JOBOBJ_WALLTIME=walltime).resources.walltime == walltime


@pytest.mark.parametrize(
    "walltime", ["1h", "90", "01:30", "1-00:00:00", "00:60:00", "00:00:60", "00:00:00; id", "²:00:00"]
)
def test_any_other_walltime_is_refused(walltime: str) -> None:
    with pytest.raises(InvalidJob) as fault:
        job_with(JOBOBJ_WALLTIME=walltime)
    assert fault.value.message == f"JOBOBJ_WALLTIME: {walltime!r} is not HH:MM:SS"


@pytest.mark.parametrize("licenses", ["feat", "feat:2", "feat:2,feat3:1", "matlab@server=2", "a.b/c-d:1"])
def test_licences(licenses: str) -> None:
    assert job_with(JOBOBJ_LICENSES=licenses).resources.licenses == licenses


@pytest.mark.parametrize("licenses", ["feat:x", "a b", "$(id)", "feat:1,", "a;b", "a\\b"])
def test_what_is_no_licence_is_refused(licenses: str) -> None:
    with pytest.raises(InvalidJob, match=r"^JOBOBJ_LICENSES: .* is not licences such as feat:2,feat3:1"):
        job_with(JOBOBJ_LICENSES=licenses)


@pytest.mark.parametrize("key", ["JOBOBJ_CTRSECRET", "JOBOBJ_DOCKER_SECRET", "JOBOBJ_DEVICES"])
def test_none_is_absent_where_json_is_expected_too(key: str) -> None:
    text = script("echo").replace("#!/bin/bash\n", f"#!/bin/bash\n{key}=None\n")
    job = intake.read_form(form(text), Settings())
    assert job.resources.sbatch_options == {}
    assert "None" not in job.secrets


def test_none_is_absent() -> None:
    asked = job_with(
        JOBOBJ_WALLTIME="None", JOBOBJ_LICENSES="None", JOBOBJ_RAM="None", JOBOBJ_GPUS="None"
    ).resources
    assert (asked.walltime, asked.licenses, asked.memory_gb, asked.gpus) == ("", "", 0, 0)


def test_memory_and_gpus_are_numbers_and_gpus_make_a_job_exclusive() -> None:
    asked = job_with(JOBOBJ_RAM=64, JOBOBJ_GPUS=2, JOBOBJ_DEVICES='["exclusive=False"]').resources
    assert (asked.memory_gb, asked.gpus, asked.exclusive) == (64, 2, True)
    assert not job_with(JOBOBJ_GPUS=0, JOBOBJ_DEVICES='["exclusive=False"]').resources.exclusive


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("JOBOBJ_RAM", "8G"),
        ("JOBOBJ_RAM", "-1"),
        ("JOBOBJ_GPUS", "one"),
        ("JOBOBJ_GPUS", "1.5"),
        ("JARVICE_CPU_CORES", "0"),
        ("JARVICE_CPU_CORES", "two"),
        ("JOBOBJ_APPDEFVERSION", "2; id"),
        ("JOBOBJ_ARCH", "../x"),
        ("JOBOBJ_NAE", "$(id)"),
        ("JOBOBJ_REPO", "-leading-dash"),
        ("JOBOBJ_REPO", "a b"),
    ],
)
def test_a_wrong_value_is_named_and_shown(key: str, value: str) -> None:
    with pytest.raises(InvalidJob) as fault:
        job_with(**{key: value})
    assert fault.value.message.startswith(f"{key}: {value!r} is not ")


@pytest.mark.parametrize("key", ["JOBOBJ_APPDEFVERSION", "JARVICE_CPU_CORES", "JOBOBJ_REPO"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_required_key_that_is_missing_is_named(key: str, value: object) -> None:
    with pytest.raises(InvalidJob, match=f"^{key} is missing"):
        job_with(**{key: value})


@pytest.mark.parametrize("version", ["0", "1"])
def test_an_application_definition_below_2_is_refused(version: str) -> None:
    with pytest.raises(InvalidJob, match=r"^JOBOBJ_APPDEFVERSION: .*2 or more"):
        job_with(JOBOBJ_APPDEFVERSION=version)


@pytest.mark.parametrize("interactive", ["True", "false", "0", "no", None])
def test_anything_but_false_is_interactive_and_refused(interactive: str | None) -> None:
    with pytest.raises(InvalidJob, match=r"^JOBOBJ_INTERACTIVE: .*interactive"):
        job_with(JOBOBJ_INTERACTIVE=interactive)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidJob) as fault:
        job_with(JOBOBJ_RAM="x" * 10_000)
    assert len(fault.value.message) < 200


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64"), ("", "amd64")],
)
def test_the_architecture_in_the_words_of_registries(machine: str, architecture: str) -> None:
    assert job_with(JOBOBJ_ARCH=machine).architecture == architecture
