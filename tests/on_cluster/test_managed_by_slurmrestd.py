"""What a site that gives no SSH at all goes without, and is told so."""

from __future__ import annotations

import re

import pytest

from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.harness.waiting import eventually

pytestmark = pytest.mark.parametrize("interface", ["http-managed"], indirect=True)

REASON = "cannot be read: jobs are managed through slurmrestd"


def test_the_output_is_404_with_the_reason_and_the_exit_status_comes_without_it(
    service: Service, interface: Interface
) -> None:
    job = service.submit(form(script("echo begun; exit 3")))
    tail = service.post(f"/request/{job.name}/{job.number}/{job.job_id}/tail", {"qs": {}})
    assert tail.status_code == 404
    assert REASON in tail.json()["error"]
    ended = service.exit_of(job)
    assert (ended.code, ended.state) == (1, "FAILED")
    assert REASON in ended.output
    assert len(ended.output.splitlines()) == 1
    assert interface.files("kirby", job.name)
    assert f"job {job.name} ({job.job_id}): its files stay" in service.log()


def test_events_and_runstatus_say_what_slurm_says(service: Service) -> None:
    job = service.submit(form(script("sleep 300"), nodes=2))
    service.await_running(job)
    [nodes, elapsed, _, _] = service.post("/runstatus", {**job.ref, "rc": 1, "nc": 1}).json()
    assert len(nodes) == 2
    assert elapsed.startswith("00:0")
    said = service.post("/events", job.ref).json()
    assert f'"name": "jarvice_{job.name}"' in said
    assert '"user_name": "kirby"' in said
    service.post("/terminate", job.ref)
    eventually(lambda: job.name not in service.running(), what="the job's end")


def test_folders_cannot_be_listed(service: Service) -> None:
    reply = service.post("/request/pvcls", {"qs": {"path": ["/home/jarvice"], "details": ["false"]}})
    assert reply.status_code == 404
    assert "slurmrestd, which does not show files" in reply.json()["error"]


def test_no_ssh_is_needed(service: Service, interface: Interface) -> None:
    assert not [name for name in interface.settings if "SSH" in name or "CLUSTER" in name]
    assert service.get("/gc").ok
    assert not re.search(r"\bssh\b", service.log(), re.IGNORECASE)
