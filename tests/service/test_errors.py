"""Wrong requests are told what is wrong with them, as JSON."""

from __future__ import annotations

import pytest
import requests

from tests.harness.forms import form, job_name, script
from tests.harness.service import Service

REF = {"name": job_name(), "number": 1, "jobid": "1"}


def post_text(service: Service, path: str, **data: str) -> requests.Response:
    return service.http.post(service.url + path, data=data, timeout=10)


@pytest.mark.parametrize("path", ["/submit", "/runstatus", "/exitstatus", "/terminate", "/request/pvcls"])
@pytest.mark.parametrize("args", [None, "", "{", "[]", "5", '"x"', "null", "{'name': 1}", "[" * 50_000])
def test_args_that_are_no_json_object(local: Service, path: str, args: str | None) -> None:
    reply = post_text(local, path, **({} if args is None else {"args": args}))
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("args: ")


@pytest.mark.parametrize("field", ["name", "number", "jobid"])
def test_a_missing_field_is_named(local: Service, field: str) -> None:
    reply = local.post("/runstatus", {key: value for key, value in REF.items() if key != field})
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(f"{field}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("name", "x"),
        ("name", "2024/../../x"),
        ("name", "2024-a\n"),
        ("number", "one"),
        ("number", True),
        ("number", None),
        ("jobid", "1; id"),
        ("jobid", "1_2"),
        ("jobid", ""),
        ("jobid", "²"),
        ("jobid", "0"),
        ("jobid", "07"),
        ("jobid", str(2**32)),
        ("jobid", -1),
        ("jobid", 1.5),
        ("jobid", True),
        ("jobid", []),
    ],
)
def test_a_wrong_field_is_named(local: Service, field: str, value: object) -> None:
    reply = local.post("/exitstatus", REF | {field: value})
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(f"{field}: ")


def test_a_wrong_job_is_told_with_field_and_name(local: Service) -> None:
    sent = form(script("echo", JOBOBJ_WALLTIME="1h"))
    reply = local.post("/submit", sent)
    assert reply.status_code == 400
    assert reply.json() == {"error": "JOBOBJ_WALLTIME: '1h' is not HH:MM:SS", "job": sent["name"]}
    assert sent["name"] not in local.queued() | local.running()


def test_a_script_that_would_reach_into_the_program_is_refused(local: Service) -> None:
    text = script("").replace("{DOWNSTREAM_PARAMETERS}", "{DOWNSTREAM_PARAMETERS.__class__}")
    reply = local.post("/submit", form(text))
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("hpc_script: ")


def test_an_unknown_path_and_a_wrong_method(local: Service) -> None:
    for reply, status in (
        (local.get("/nothing"), 404),
        (local.get("/submit"), 405),
        (local.post("/running", {}), 405),
    ):
        assert reply.status_code == status
        assert reply.json()["error"]


def test_a_body_that_is_too_large_is_refused(local: Service) -> None:
    reply = requests.post(f"{local.url}/submit", data={"args": "x" * (33 * 1024 * 1024)}, timeout=30)
    assert reply.status_code == 413
    assert reply.json()["error"]


def test_a_script_of_the_largest_size_arrives_and_a_larger_one_is_told(local: Service) -> None:
    reply = local.post("/submit", form(script("#" * 4_300_000)))
    assert reply.status_code == 400
    assert "hpc_script" in reply.json()["error"]
    sent = local.submit(form(script("echo ran\n#" + "x" * 4_100_000)))
    assert local.exit_of(sent).output == "ran\n"
