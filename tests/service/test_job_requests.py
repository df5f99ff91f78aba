"""/request/PATH: what the upstream asks of one job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.harness.forms import form, job_name, script
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually


@pytest.fixture(scope="module")
def job(local: Service) -> Iterator[Sent]:
    """A job that has printed 300 lines and runs on."""
    sent = local.submit(form(script("seq 300; sleep 60")))
    eventually(lambda: "300" in local.tail(sent), what="the job's output", pause=0.05)
    yield sent
    local.post("/terminate", sent.ref)
    local.exit_of(sent)


def ask(service: Service, job: Sent, method: str, **query: object) -> requests.Response:
    path = f"/request/{job.name}/{job.number}/{job.job_id}{method}"
    return service.post(path, {"qs": {key: [value] for key, value in query.items()}})


def test_ping(local: Service, job: Sent) -> None:
    reply = ask(local, job, "/ping")
    assert (reply.status_code, reply.content) == (200, b"")


def test_info(local: Service, job: Sent) -> None:
    reply = ask(local, job, "/info")
    assert reply.headers["Content-Type"] == "application/json"
    assert set(reply.json()) == {"about", "help", "url", "actions"}


def test_a_path_without_a_method_is_no_error(local: Service, job: Sent) -> None:
    assert ask(local, job, "").status_code == 200
    assert ask(local, job, "/").status_code == 200


def test_tail_gives_the_last_hundred_lines_unless_told_otherwise(local: Service, job: Sent) -> None:
    reply = ask(local, job, "/tail")
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert reply.text.splitlines() == [str(number) for number in range(201, 301)]
    assert ask(local, job, "/tail", lines="2").text == "299\n300\n"
    assert ask(local, job, "/tail", lines=1).text == "300\n"
    assert len(ask(local, job, "/tail", lines="0").text.splitlines()) == 300
    assert local.post(f"/request/{job.name}/{job.number}/{job.job_id}/tail", {}).text == reply.text


@pytest.mark.parametrize("lines", ["-1", "many", "1;id", "", 1.5, None, True])
def test_a_wrong_number_of_lines_is_the_callers_fault(local: Service, job: Sent, lines: object) -> None:
    reply = ask(local, job, "/tail", lines=lines)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("qs.lines: ")


@pytest.mark.parametrize("query", ["lines=1", ["lines"], {"lines": "1"}, {"lines": []}, 5])
def test_a_query_of_another_form_is_the_callers_fault(local: Service, job: Sent, query: object) -> None:
    reply = local.post(f"/request/{job.name}/{job.number}/{job.job_id}/tail", {"qs": query})
    assert reply.status_code == 400


def test_tail_of_a_job_without_output_is_not_found(local: Service) -> None:
    sent = local.submit(form(script("echo"), held=True))
    assert ask(local, sent, "/tail").status_code == 404
    local.post("/terminate", sent.ref)
    assert local.exit_of(sent).code == -15


@pytest.mark.parametrize("method", ["/shutdown", "/abort"])
def test_shutdown_and_abort_terminate(local: Service, method: str) -> None:
    sent = local.submit(form(script("sleep 60")))
    assert ask(local, sent, method).status_code == 200
    assert local.exit_of(sent).code == -15


@pytest.mark.parametrize("method", ["/connect", "/screenshot", "/nonsense", "/tail/more", "/.."])
def test_what_there_is_not_is_not_found(local: Service, job: Sent, method: str) -> None:
    reply = ask(local, job, method)
    assert reply.status_code == 404
    assert reply.json()["error"]


@pytest.mark.parametrize("method", ["/ping", "/info", "/tail", "/abort"])
def test_an_unknown_job_is_not_found(local: Service, method: str) -> None:
    assert ask(local, Sent(job_name(), 1, "1", ""), method).status_code == 404


@pytest.mark.parametrize(
    "path", ["x", "name/1/2/ping", "2024-a/x/2/ping", "2024-a/1/x/ping", "2024-a/1/-2/ping"]
)
def test_a_path_of_another_form_is_the_callers_fault(local: Service, path: str) -> None:
    assert local.post(f"/request/{path}", {}).status_code in (400, 404)


def test_pvcls_lists_a_directory(local: Service) -> None:
    home = local.folder / "state" / "local"
    (home / "data").mkdir()
    (home / "data" / "file").write_text("12345")
    reply = local.post("/request/pvcls", {"qs": {"path": [str(home / "data")]}})
    assert reply.text.splitlines() == [f"/data{home}/data/", f"/data{home}/data/file"]
    details = local.post("/request/pvcls", {"qs": {"path": [str(home / "data")], "details": ["true"]}})
    assert details.text.splitlines()[1].split(" ")[1:] == ["5", f"/data{home}/data/file"]


def test_pvcls_outside_of_its_folders_is_not_allowed_and_elsewhere_not_found(local: Service) -> None:
    assert local.post("/request/pvcls", {"qs": {"path": ["/etc"]}}).status_code == 403
    assert local.post("/request/pvcls", {"qs": {"path": ["/not/there"]}}).status_code == 403
    inside = local.folder / "state" / "local" / "not-there"
    assert local.post("/request/pvcls", {"qs": {"path": [str(inside)]}}).status_code == 404
    assert local.post("/request/pvcls", {}).status_code == 403


def test_pvcls_of_what_no_path_can_be_is_refused_before_the_cluster_has_it(local: Service) -> None:
    reply = local.post("/request/pvcls", {"qs": {"path": ["/" + "eyJ-" * 100_000]}})
    assert (reply.status_code, reply.json()["error"]) == (400, "qs.path: is longer than 4096 characters")


def test_pvcls_of_a_job_needs_that_job(local: Service, job: Sent) -> None:
    home = str(local.folder / "state" / "local")
    assert ask(local, job, "/pvcls", path=home).text.startswith(f"/data{home}/\n")
    assert ask(local, job, "/pvcls", path="/etc").status_code == 403
    assert ask(local, Sent(job_name(), 1, "1", ""), "/pvcls", path=home).status_code == 404
