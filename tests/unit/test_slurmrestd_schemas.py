"""The schemas that a payload is checked against before slurmrestd gets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.shipped import schema
from pipeline.slurm.api_versions import API_VERSIONS
from tests.cluster.make_schemas import MADE_ON, file_of
from tests.cluster.schema_corrections import V0_0_39_FROM_V0_0_40
from tests.cluster.submission_schema import Schema, job_fields, rules, submission

WITH_NUMBERS = [version for version in API_VERSIONS if version != "v0.0.38"]


def payload(version: str, **job: object) -> dict[str, Any]:
    """The least that a submission has, and what the job has beyond that."""
    environment = {"PATH": "/bin"} if version == "v0.0.38" else ["PATH=/bin"]
    least = {"name": "job", "environment": environment, "current_working_directory": "/home/kirby"}
    return {"script": "#!/bin/bash\n", "job": least | job}


def faults(version: str, document: object) -> list[str]:
    """Where a payload is wrong, and which keyword says so."""
    errors = Draft202012Validator(schema(f"slurmrestd/{version}")).iter_errors(document)
    return sorted(f"{error.json_path} {error.validator}" for error in errors)


def test_there_is_one_for_each_version() -> None:
    assert set(MADE_ON) == set(API_VERSIONS)
    for version in API_VERSIONS:
        Draft202012Validator.check_schema(schema(f"slurmrestd/{version}"))
        assert schema(f"slurmrestd/{version}")["$id"] == file_of(version).name


def test_each_says_where_it_is_from() -> None:
    sources = {version: schema(f"slurmrestd/{version}")["$comment"] for version in API_VERSIONS}
    assert sources.pop("v0.0.39").startswith("From Slurm's documentation, not from a live slurmrestd.")
    assert all(source.startswith("From slurmrestd of Slurm 2") for source in sources.values())


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_least_payload_passes(version: str) -> None:
    assert faults(version, payload(version)) == []


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda document: document.update(scirpt=""), "$ additionalProperties"),
        (lambda document: document["job"].update(partitoin="gpu"), "$.job additionalProperties"),
        (lambda document: document["job"].update(script="#!/bin/sh\n"), "$.job additionalProperties"),
        (lambda document: document["job"].update(partition=7), "$.job.partition type"),
        (lambda document: document["job"].update(tasks="2"), "$.job.tasks type"),
        (lambda document: document["job"].update(name=""), "$.job.name minLength"),
        (lambda document: document["job"].pop("name"), "$.job required"),
        (lambda document: document["job"].pop("environment"), "$.job required"),
        (lambda document: document["job"].pop("current_working_directory"), "$.job required"),
        (
            lambda document: document["job"].update(current_working_directory="here"),
            "$.job.current_working_directory pattern",
        ),
        (lambda document: document.update(script=""), "$.script minLength"),
        (lambda document: document.pop("script"), "$ required"),
        (lambda document: document.pop("job"), "$ required"),
    ],
)
def test_what_slurmrestd_would_lose_or_refuse_is_a_fault(
    version: str, spoil: Callable[[dict[str, Any]], object], fault: str
) -> None:
    document = payload(version)
    spoil(document)
    assert faults(version, document) == [fault]


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_environment_is_of_its_versions_form_and_not_empty(version: str) -> None:
    as_object, as_lines = {"A": "b"}, ["A=b"]
    right, wrong = (as_object, as_lines) if version == "v0.0.38" else (as_lines, as_object)
    empty = "minProperties" if version == "v0.0.38" else "minItems"
    assert faults(version, payload(version, environment=right)) == []
    assert faults(version, payload(version, environment=type(right)())) == [f"$.job.environment {empty}"]
    assert faults(version, payload(version, environment=wrong)) == ["$.job.environment type"]


@pytest.mark.parametrize("version", WITH_NUMBERS)
@pytest.mark.parametrize(
    ("number", "fault"),
    [
        ({"set": True, "number": 5}, None),
        ({"set": True, "infinite": False, "number": 5}, None),
        ({"set": True, "infinite": True}, None),
        ({"set": False}, None),
        ({"number": 5}, "required"),
        ({"set": True}, "required"),
        ({"set": True, "infinite": False}, "required"),
        ({"set": True, "nubmer": 5, "number": 5}, "additionalProperties"),
        (5, "type"),
    ],
)
def test_numbers_are_set_and_have_a_value(version: str, number: object, fault: str | None) -> None:
    expected = [f"$.job.time_limit {fault}"] if fault else []
    assert faults(version, payload(version, time_limit=number)) == expected


@pytest.mark.parametrize("version", WITH_NUMBERS)
def test_an_unknown_flag_is_a_fault_since_slurmrestd_may_submit_and_answer_500(version: str) -> None:
    assert faults(version, payload(version, flags=["SPREAD_JOB"])) == []
    assert faults(version, payload(version, flags=["NO_SUCH"])) == ["$.job.flags[0] enum"]


def test_v0_0_38_takes_what_slurm_22_05_takes_and_not_what_its_document_says() -> None:
    taken = {
        "begin_time": "now+1hour",
        "exclude_nodes": "n2",
        "exclusive": "exclusive",
        "no_requeue": True,
        "nodelist": "n1",
        "nodes": "1-2",
        "signal": "USR1@60",
    }
    assert faults("v0.0.38", payload("v0.0.38", **taken)) == []
    documented = {"argv": ["1"], "begin_time": 5, "exclusive": "true", "nodes": [1, 2], "requeue": False}
    for name, value in documented.items():
        assert len(faults("v0.0.38", payload("v0.0.38", **{name: value}))) == 1, name


def test_v0_0_39_is_v0_0_40_with_its_differences() -> None:
    fields = V0_0_39_FROM_V0_0_40.applied(schema("slurmrestd/v0.0.40")["properties"]["job"]["properties"])
    assert rules(schema("slurmrestd/v0.0.39")) == rules(submission("v0.0.39", fields, ""))


def test_a_document_of_openapi_becomes_plain_json_schema() -> None:
    number = {
        "type": "object",
        "properties": {
            "set": {"type": "boolean", "default": False},
            "infinite": {"type": "boolean", "default": 0},
            "number": {"type": "integer", "format": "int32"},
        },
    }
    fields = {
        "time_limit": {"$ref": "#/components/schemas/v0.0.40_number", "description": "In minutes"},
        "limits": {"type": "object", "properties": {"cpu": {"$ref": "#/components/schemas/v0.0.40_number"}}},
        "flags": {"type": "array", "items": {"type": "string", "enum": ["A"]}, "description": "x" * 200},
        "gone": {"type": "array", "items": {}, "deprecated": True},
        "old": {"type": "boolean", "deprecated": True, "example": True},
    }
    request = {"properties": {"job": {"type": "object", "properties": fields}, "jobs": {}}}
    body = {"requestBody": {"content": {"application/json": {"schema": request}}}}
    document: Schema = {
        "paths": {"/slurm/v0.0.40/job/submit": {"post": body}},
        "components": {"schemas": {"v0.0.40_number": number}},
    }
    assert job_fields(document, "v0.0.40") == {
        "flags": {"type": "array", "items": {"type": "string", "enum": ["A"]}},
        "limits": {
            "type": "object",
            "properties": {"cpu": {"$ref": "#/$defs/number"}},
            "additionalProperties": False,
        },
        "old": {"type": "boolean", "deprecated": True},
        "time_limit": {"$ref": "#/$defs/number", "description": "In minutes"},
    }


@pytest.mark.parametrize("version", API_VERSIONS)
def test_a_file_can_be_compared_line_by_line(version: str) -> None:
    text = file_of(version).read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2) + "\n"
    fields = json.loads(text)["properties"]["job"]["properties"]
    assert list(fields) == sorted(fields)
