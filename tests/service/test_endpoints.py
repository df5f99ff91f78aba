"""Each endpoint of the contract, with the shape of its reply."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pipeline import __version__
from tests.harness.forms import form, job_name, script
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually


@pytest.fixture
def job(local: Service) -> Iterator[Sent]:
    """A job of two nodes that runs until the test is over."""
    sent = local.submit(form(script("echo started; sleep 60"), nodes=2))
    eventually(lambda: local.tail(sent).count("started") == 2, what="the job's output", pause=0.05)
    eventually(lambda: sent.name in local.running(), what="the job among the running ones", pause=0.05)
    yield sent
    assert local.post("/terminate", sent.ref).status_code == 200
    local.exit_of(sent)


def test_live(local: Service) -> None:
    assert local.get("/live").json() == {"status": "OK"}


def test_ready_tells_the_version(local: Service) -> None:
    reply = local.get("/ready")
    assert (reply.status_code, reply.text) == (200, __version__)


def test_gc_tells_whether_the_cluster_answers(local: Service) -> None:
    reply = local.get("/gc")
    assert (reply.status_code, reply.json()) == (200, {"status": "OK"})


def test_nodes_and_online(local: Service) -> None:
    assert local.get("/nodes").json() is True
    assert local.post("/online", {}).json() is True
    assert local.http.post(f"{local.url}/online", timeout=10).json() is True


def test_submit_answers_id_and_script_without_secrets(local: Service) -> None:
    secret = '{{"server": "registry.example.com", "username": "u", "password": "hunter2"}}'
    text = script("echo", JOBOBJ_REPO="registry.example.com/app:1", JOBOBJ_DOCKER_SECRET=secret)
    sent = form(text)
    reply = local.post("/submit", sent)
    job_id, rendered = reply.json()
    assert isinstance(job_id, str)
    assert job_id.isdecimal()
    assert rendered.startswith("#!/bin/bash\n#SBATCH ")
    assert "hunter2" not in reply.text
    assert sent["bearer"] not in reply.text
    local.exit_of(Sent(sent["name"], sent["number"], job_id, rendered))


def test_submitting_a_name_again_gives_the_same_id(local: Service, job: Sent) -> None:
    again = form(script("echo started; sleep 60"), nodes=2, name=job.name)
    assert local.post("/submit", again).json()[0] == job.job_id


def test_running_and_queued_are_lists_of_name_and_id(local: Service, job: Sent) -> None:
    reply = local.get("/running")
    assert [job.name, job.job_id] in reply.json()
    assert job.name not in local.queued()


def test_a_job_is_queued_or_running_as_soon_as_it_is_submitted(local: Service) -> None:
    sent = local.submit(form(script("sleep 60")))
    assert sent.name in local.queued() | local.running()
    assert local.post("/terminate", sent.ref).ok
    local.exit_of(sent)


def test_runstatus_of_a_running_job(local: Service, job: Sent) -> None:
    nodes, elapsed, address, nothing = local.post("/runstatus", job.ref | {"rc": 0, "nc": 1}).json()
    assert nodes == ["local1", "local2"]
    assert re.fullmatch(r"00:00:\d\d", elapsed)
    assert address == f"{job.name}/{job.number}/{job.job_id}"
    assert nothing is None


def test_runstatus_of_an_unknown_job_is_four_nulls(local: Service) -> None:
    reply = local.post("/runstatus", {"name": job_name(), "number": 1, "jobid": "1"})
    assert (reply.status_code, reply.json()) == (200, [None, None, None, None])


def test_numbers_may_come_as_texts(local: Service, job: Sent) -> None:
    ref = {"name": job.name, "number": str(job.number), "jobid": int(job.job_id)}
    assert local.post("/runstatus", ref).json()[0] == ["local1", "local2"]


def test_exitstatus_of_a_live_job_is_an_error_and_deletes_nothing(local: Service, job: Sent) -> None:
    reply = local.post("/exitstatus", job.ref)
    assert reply.status_code == 409
    assert reply.json() == {
        "error": f"job {job.job_id} is RUNNING: it has no exit status yet",
        "job": job.name,
    }
    assert "started" in local.tail(job)


def test_exitstatus_of_an_ended_job_is_the_same_again(local: Service) -> None:
    sent = local.submit(form(script("echo one; echo two >&2; exit 3")))
    ended = local.exit_of(sent)
    assert ended.code == 1
    assert sorted(ended.output.splitlines()) == ["one", "two"]
    assert ended.termination == "<< termination state: FAILED -- see STDOUT for job errors >>"
    assert re.fullmatch(r"00:00:\d\d", ended.elapsed)
    assert local.exit_of(sent) == ended


def test_terminate_ends_a_running_job(local: Service) -> None:
    sent = local.submit(form(script("echo started; sleep 60")))
    eventually(lambda: "started" in local.tail(sent), what="the job's output", pause=0.05)
    reply = local.post("/terminate", sent.ref | {"force": True, "nodes": ["local1"]})
    assert reply.json() is True
    assert local.exit_of(sent).code == -15


def test_release_lets_a_held_job_run(local: Service) -> None:
    sent = local.submit(form(script("echo ran"), held=True))
    assert sent.name in local.queued()
    assert "Reason=JobHeldUser" in local.post("/events", sent.ref).json()
    assert sent.name in local.queued()
    assert local.post("/release", sent.ref).json() is True
    assert local.exit_of(sent).output == "ran\n"


def test_events_is_a_text(local: Service, job: Sent) -> None:
    text = local.post("/events", job.ref).json()
    assert f"JobId={job.job_id}" in text
    assert "JobState=RUNNING" in text


@pytest.mark.parametrize("path", ["/exitstatus", "/terminate", "/release", "/events"])
def test_an_unknown_job_is_not_found(local: Service, path: str) -> None:
    name = job_name()
    reply = local.post(path, {"name": name, "number": 1, "jobid": "1"})
    assert reply.status_code == 404
    assert reply.json() == {"error": f"there is no job 1 named {name}", "job": name}


@pytest.mark.parametrize("path", ["/exitstatus", "/terminate", "/release", "/events"])
def test_an_id_of_another_name_is_not_found(local: Service, job: Sent, path: str) -> None:
    reply = local.post(path, job.ref | {"name": job_name()})
    assert reply.status_code == 404
    assert job.name in local.running()
