"""The OpenAPI document and the service say the same."""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from unittest.mock import Mock

import pytest
import yaml
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from pipeline import __version__, errors
from pipeline.api import Doorkeeper, create_app
from pipeline.downstream import Downstream
from pipeline.shipped import folder, schema
from tests.harness.forms import form, job_name, script
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually

SERVER_KEY = "portal:not-a-real-key"
DOCUMENT: dict[str, Any] = yaml.safe_load((folder("schemas") / "openapi.yaml").read_text(encoding="utf-8"))
OPERATIONS = [
    (method, path) for path, operations in DOCUMENT["paths"].items() for method in sorted(operations)
]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node, or what its ``$ref`` names."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(found)


def check(document: object, schema_of_it: dict[str, Any]) -> None:
    """Fail unless the document is of the schema."""
    whole = {**schema_of_it, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(document)


def documented(method: str, url: str) -> dict[str, Any]:
    """The operation that answers a URL."""
    path = "/request/{path}" if url.startswith("/request/") else url
    operation: dict[str, Any] = DOCUMENT["paths"][path][method]
    return operation


def check_reply(method: str, url: str, status: int, content_type: str, body: str) -> None:
    """Fail unless the document has such a reply."""
    responses = documented(method, url)["responses"]
    assert str(status) in responses, f"{method} {url}: {status} is not documented: {body}"
    content = resolved(responses[str(status)])["content"]
    kind = content_type.partition(";")[0]
    assert kind in content, f"{method} {url}: {status} as {kind} is not documented"
    check(json.loads(body) if kind == "application/json" else body, content[kind]["schema"])


class Portal:
    """Asks a service as the upstream does; each question and answer must be as documented."""

    def __init__(self, service: Service) -> None:
        self.service = service
        user, _, password = SERVER_KEY.partition(":")
        service.http.auth = (user, password)

    def get(self, url: str, status: int = 200) -> Any:
        """GET, with the status that is expected."""
        reply = self.service.get(url)
        assert reply.status_code == status, reply.text
        check_reply("get", url, status, reply.headers["Content-Type"], reply.text)
        return reply.text

    def post(self, url: str, args: object, status: int = 200) -> Any:
        """POST, with the status that is expected; args that are taken must be as documented."""
        reply = self.service.post(url, args)
        assert reply.status_code == status, reply.text
        check_reply("post", url, status, reply.headers["Content-Type"], reply.text)
        body = resolved(documented("post", url)["requestBody"])
        wanted = body["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]["args"]
        if status == 200 and "contentSchema" in wanted:
            check(args, wanted["contentSchema"])
        return reply.text


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    place = tmp_path_factory.mktemp("openapi")
    settings = {
        "JARVICE_BAREMETAL_CONNECTOR": "local",
        "JARVICE_SCHED_SERVER_KEY": SERVER_KEY,
        "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1",
    }
    service = Service(place, settings).start()
    yield Portal(service)
    service.stop()


@pytest.fixture
def job(portal: Portal) -> Iterator[Sent]:
    """A job that runs until it is terminated, and has said something."""
    sent = portal.service.submit(form(script("echo said; sleep 600")))
    portal.service.await_running(sent)
    eventually(lambda: "said" in portal.service.tail(sent), what="the job's first output")
    yield sent
    portal.service.post("/terminate", sent.ref)


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


def test_routes_and_paths_are_the_same() -> None:
    app = create_app(_downstream())
    routes = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(OPERATIONS)


def test_the_submit_args_are_those_that_are_checked() -> None:
    ours = schema("upstream_submit")
    theirs = copy.deepcopy(DOCUMENT["components"]["schemas"]["SubmitArgs"])
    theirs["properties"] = {key: resolved(value) for key, value in theirs["properties"].items()}
    for document in (ours, theirs):
        for field in document["properties"].values():
            field.pop("description", None)
    assert theirs["properties"] == ours["properties"]
    assert theirs["required"] == ours["required"]


@pytest.mark.parametrize("url", ["/live", "/ready", "/gc", "/nodes", "/running", "/queued", "/openapi.json"])
def test_gets(portal: Portal, job: Sent, url: str) -> None:
    portal.get(url)


def test_the_service_gives_the_document(portal: Portal) -> None:
    served = json.loads(portal.get("/openapi.json"))
    assert served["info"]["version"] == __version__
    assert served["paths"] == DOCUMENT["paths"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_only_the_probes_are_free(method: str, path: str) -> None:
    stranger = create_app(_downstream(), doorkeeper=Doorkeeper(SERVER_KEY)).test_client()
    reply = stranger.open(path, method=method.upper(), data={"args": "{}"})
    free = documented(method, path).get("security") == []
    assert (reply.status_code == 401) is not free
    check_reply(method, path, reply.status_code, reply.content_type, reply.text)
    if not free:
        assert reply.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_only_the_probes_are_answered_when_too_many_ask(method: str, path: str) -> None:
    busy = create_app(_downstream(), at_a_time=0, patience=0)
    reply = busy.test_client().open(path, method=method.upper())
    assert (reply.status_code == 503) is (documented(method, path).get("security") != [])
    check_reply(method, path, reply.status_code, reply.content_type, reply.text)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_at_the_end_only_life_is_shown(method: str, path: str) -> None:
    ending = threading.Event()
    ending.set()
    app = create_app(_downstream(), doorkeeper=Doorkeeper(SERVER_KEY), ending=ending)
    reply = app.test_client().open(path, method=method.upper())
    assert reply.status_code == (200 if path == "/live" else 503)
    check_reply(method, path, reply.status_code, reply.content_type, reply.text)


def test_anybody_may_know_that_the_cluster_is_silent_but_not_its_addresses() -> None:
    silence = errors.Unreachable("ssh: mg1.example.com port 22 has not answered since 2024")
    silence.retry_after = 11.2
    reply = create_app(_downstream(**{"silence.return_value": silence})).test_client().get("/ready")
    assert reply.status_code == 503
    assert reply.headers["Retry-After"] == "12"
    assert reply.json == {"error": "the cluster does not answer; the log and /gc say more"}
    check_reply("get", "/ready", reply.status_code, reply.content_type, reply.text)


def test_a_job_from_submit_to_exit_status(portal: Portal) -> None:
    asked = form(script("echo hello; echo JARVICE_CMD_SUCCESS"), held=True)
    job_id, _ = json.loads(portal.post("/submit", asked))
    ref = {"name": asked["name"], "number": asked["number"], "jobid": job_id}
    assert [asked["name"], job_id] in json.loads(portal.get("/queued"))
    portal.post("/runstatus", ref)
    portal.post("/exitstatus", ref, 409)
    portal.post(f"/request/{asked['name']}/{asked['number']}/{job_id}/tail", {}, 404)
    portal.post("/release", ref)
    ended = portal.service.exit_of(Sent(asked["name"], asked["number"], job_id, ""))
    assert ended.code == 0
    portal.post("/exitstatus", ref)


def test_a_job_that_is_terminated(portal: Portal, job: Sent) -> None:
    assert [job.name, job.job_id] in json.loads(portal.get("/running"))
    nodes, _, path, nothing = json.loads(portal.post("/runstatus", job.ref))
    assert (nodes, nothing) == (["local1"], None)
    assert isinstance(json.loads(portal.post("/events", job.ref)), str)
    for request in ("", "/ping", "/info", "/tail"):
        portal.post(f"/request/{path}{request}", {"qs": {"lines": ["1"]}})
    for request in ("/connect", "/screenshot", "/no-such-method"):
        portal.post(f"/request/{path}{request}", {}, 404)
    assert json.loads(portal.post("/terminate", {**job.ref, "force": True, "nodes": []})) is True
    portal.post(f"/request/{path}/abort", {})
    assert portal.service.exit_of(job).code == -15


@pytest.mark.parametrize(("url", "status"), [
    ("/exitstatus", 404), ("/terminate", 404), ("/release", 404), ("/events", 404), ("/runstatus", 200),
])  # fmt: skip
def test_a_job_that_is_not_known(portal: Portal, url: str, status: int) -> None:
    unknown = {"name": job_name(), "number": 1, "jobid": "1"}
    reply = json.loads(portal.post(url, unknown, status))
    assert reply == [None] * 4 if status == 200 else reply["job"] == unknown["name"]


@pytest.mark.parametrize("url", ["/exitstatus", "/terminate", "/release", "/events", "/runstatus", "/submit"])
@pytest.mark.parametrize("args", [{}, [], {"name": "?", "number": 1, "jobid": "1"}, "{"])
def test_args_that_are_wrong(portal: Portal, url: str, args: object) -> None:
    portal.post(url, args, 400)


def test_requests_that_are_wrong(portal: Portal, job: Sent) -> None:
    path = f"/request/{job.name}/{job.number}/{job.job_id}"
    portal.post(f"{path}/tail", {"qs": {"lines": ["many"]}}, 400)
    portal.post(f"/request/{job.name}/x/{job.job_id}/ping", {}, 400)
    portal.post("/request/what", {}, 404)


def test_listing(portal: Portal) -> None:
    home = portal.service.folder / "state" / "local"
    (home / "file").touch()
    listed = portal.post("/request/pvcls", {"qs": {"path": [str(home)], "details": ["true"]}})
    assert re.search(r"^\d+ \d+ /data/.*/file$", listed, re.MULTILINE)
    portal.post("/request/pvcls", {"qs": {"path": ["/"]}}, 403)
    portal.post("/request/pvcls", {"qs": {"path": [str(home / "no-such")]}}, 404)
    portal.post("/request/pvcls", {"qs": {"path": ["relative"]}}, 400)


def test_what_is_not_an_endpoint(portal: Portal) -> None:
    error = DOCUMENT["components"]["schemas"]["Error"]
    http, submit = portal.service.http, portal.service.url + "/submit"
    for reply, status in [
        (portal.service.get("/no-such"), 404),
        (portal.service.get("/submit"), 405),
        (http.post(submit, data={"wrong": "field"}, timeout=60), 400),
        (http.post(submit, data={"args": "x" * 32 * 1024 * 1024}, timeout=60), 413),
    ]:
        assert reply.status_code == status
        assert reply.headers.get("Allow") == ("OPTIONS, POST" if status == 405 else None)
        check(reply.json(), error)


def _faults() -> Iterator[tuple[str, str, Exception]]:
    """Each operation that asks the cluster, with what can go wrong there."""
    for method, path in OPERATIONS:
        responses = documented(method, path)["responses"]
        if "500" not in responses or path == "/openapi.json":
            continue
        yield method, path, errors.Nonsense("sbatch: answered what it should not")
        yield method, path, errors.Unavailable("ssh: no answer")
        yield method, path, RuntimeError("unforeseen")
        for kind in (errors.Refused, errors.NotAuthenticated, errors.AccountRefused, errors.OutOfReach):
            if str(kind.status) in responses:
                yield method, path, kind("slurmrestd: no")


@pytest.mark.parametrize(("method", "path", "fault"), list(_faults()))
def test_faults_of_the_cluster(method: str, path: str, fault: Exception) -> None:
    app = _app_that_fails(fault)
    ref = {"name": job_name(), "number": 1, "jobid": "1"}
    url = path.replace("{path}", f"{ref['name']}/1/1/shutdown")
    reply = app.test_client().open(url, method=method.upper(), data={"args": json.dumps(ref)})
    assert reply.status_code == (500 if path == "/gc" else getattr(fault, "status", 500))
    check_reply(method, path, reply.status_code, reply.content_type, reply.text)
    assert ("Retry-After" in reply.headers) is (reply.status_code == 503)


def _app_that_fails(fault: Exception) -> Flask:
    def fail(*_: object) -> NoReturn:
        raise fault

    uses: list[Callable[..., object]] = [
        Downstream.submit, Downstream.running, Downstream.queued, Downstream.status, Downstream.exit_report,
        Downstream.terminate, Downstream.release, Downstream.events, Downstream.check,
    ]  # fmt: skip
    return create_app(_downstream(**{f"{use.__name__}.side_effect": fail for use in uses}))


def _downstream(**words: object) -> Mock:
    """One whose cluster answers, unless it is said otherwise."""
    return Mock(Downstream, **{"silence.return_value": None, **words})
