"""``/request``: what a user asks of one job from the portal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
import requests

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.service import Sent, Service


@pytest.fixture(scope="module")
def job(service: Service) -> Iterator[Sent]:
    """A job that has printed five lines and goes on."""
    job = service.submit(form(script("seq 5; sleep 300")))
    service.await_running(job)
    service.await_output(job, "5\n")
    yield job
    service.post("/terminate", job.ref)


def ask(service: Service, job: Sent, method: str, **query: str) -> requests.Response:
    """POST /request for a job, with the query as parse_qs gives it."""
    path = f"/request/{job.name}/{job.number}/{job.job_id}{method}"
    return service.post(path, {"qs": {key: [value] for key, value in query.items()}})


def test_runstatus_leads_to_the_requests(service: Service, job: Sent) -> None:
    [nodes, elapsed, path, nothing] = service.post("/runstatus", {**job.ref, "rc": 1, "nc": 1}).json()
    assert nodes in (["n1"], ["n2"], ["n3"])
    assert elapsed.startswith("00:0")
    assert nothing is None
    assert service.post(f"/request/{path}/ping", {"qs": {}}).ok


@pytest.mark.parametrize(("asked", "text"), [("0", "1 2 3 4 5"), ("2", "4 5"), ("99", "1 2 3 4 5")])
def test_tail_gives_the_lines_that_are_asked_for(asked: str, text: str, service: Service, job: Sent) -> None:
    reply = ask(service, job, "/tail", lines=asked)
    assert (reply.status_code, reply.text) == (200, text.replace(" ", "\n") + "\n")
    assert reply.headers["Content-Type"].startswith("text/plain")


def test_tail_is_404_before_there_is_output(service: Service) -> None:
    held = service.submit(form(script("echo"), held=True))
    assert ask(service, held, "/tail").status_code == 404
    assert ask(service, held, "/abort").ok
    assert service.exit_of(held).code == -15


def test_ping_info_and_a_path_without_a_method_are_answered(service: Service, job: Sent) -> None:
    for method in ("/ping", ""):
        reply = ask(service, job, method)
        assert (reply.status_code, reply.content) == (200, b"")
    assert set(ask(service, job, "/info").json()) == {"about", "help", "url", "actions"}


@pytest.mark.parametrize("method", ["/screenshot", "/connect", "/no-such-method", "/tail/more"])
def test_what_a_job_does_not_have_is_404(method: str, service: Service, job: Sent) -> None:
    reply = ask(service, job, method)
    assert reply.status_code == 404
    assert reply.json()["error"]


def test_shutdown_ends_the_job(service: Service) -> None:
    job = service.submit(form(script("echo begun; sleep 300")))
    service.await_output(job, "begun")
    reply = ask(service, job, "/shutdown")
    assert (reply.status_code, reply.content) == (200, b"")
    assert service.exit_of(job).code == -15


def test_pvcls_lists_the_entry_users_home_and_nothing_else(service: Service, cluster: Cluster) -> None:
    cluster.run("rm", "-rf", "/home/jarvice/to list")
    cluster.run("mkdir", "-p", "/home/jarvice/to list/a folder")
    cluster.run("truncate", "--size=1234", "/home/jarvice/to list/file")
    cluster.run("touch", "--date=@1700000000", "/home/jarvice/to list/file")
    cluster.run("ln", "-s", "/etc", "/home/jarvice/to list/way out")

    def listing(path: str, details: str = "false") -> requests.Response:
        return service.post("/request/pvcls", {"qs": {"path": [path], "details": [details]}})

    assert "/data/home/jarvice/to list/\n" in listing("/home/jarvice").text
    inside = listing("/home/jarvice/to list").text.splitlines()
    assert {"/data/home/jarvice/to list/a folder/", "/data/home/jarvice/to list/file"} <= set(inside)
    detailed = listing("/home/jarvice/to list", "true").text.splitlines()
    assert "1700000000 1234 /data/home/jarvice/to list/file" in detailed
    for path in ("/etc", "/home/jarvice/to list/way out", "/home/jarvice/../kirby", "/"):
        refused = listing(path)
        assert refused.status_code == 403
        assert "JARVICE_DOWNSTREAM_PVCLS_ROOTS" in refused.json()["error"]
    assert listing("/home/jarvice/$(touch x)").status_code == 404


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_changed_host_key_is_refused(
    kind: str, cluster: Cluster, own_service: Callable[..., Service], tmp_path: Path
) -> None:
    key = paramiko.ECDSAKey.generate()
    if kind == "ed25519":
        public = (Path(cluster.info["keys"]) / "kirby.pub").read_text(encoding="ascii")
        line = " ".join(public.split()[:2])
    else:
        line = f"{key.get_name()} {key.get_base64()}"
    known = tmp_path / "own" / "state" / "known_hosts"
    known.parent.mkdir(parents=True)
    known.write_text(f"[127.0.0.1]:{cluster.info['ssh']['port']} {line}\n", encoding="ascii")
    before = known.read_text(encoding="ascii")
    service = own_service()
    for reply in (service.get("/running"), service.get("/gc"), service.post("/submit", form(script("echo")))):
        assert reply.status_code in (500, 503)
        assert "the host key of 127.0.0.1" in reply.json()["error"]
        assert "has changed" in reply.json()["error"]
    assert known.read_text(encoding="ascii") == before
