"""Jobs that are held, released and ended, and whose they are."""

from __future__ import annotations

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, job_name, script
from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.harness.waiting import eventually
from tests.on_cluster.ways import also_managed

LONG = script("echo begun; sleep 300")
SHORT = script("echo done; echo JARVICE_CMD_SUCCESS")


@also_managed
def test_a_held_job_waits_until_it_is_released(service: Service) -> None:
    job = service.submit(form(SHORT, held=True))
    free = service.submit(form(SHORT))
    assert service.exit_of(free).code == 0
    assert service.queued()[job.name] == job.job_id
    assert "JobHeldUser" in service.post("/events", job.ref).json()
    assert service.post("/release", job.ref).json() is True
    assert service.exit_of(job).code == 0


@also_managed
@pytest.mark.parametrize("held", [True, False], ids=["pending", "running"])
def test_a_terminated_job_ends_with_minus_15(held: bool, service: Service, interface: Interface) -> None:
    job = service.submit(form(LONG, held=held, nodes=2))
    if held:
        assert service.queued()[job.name] == job.job_id
    else:
        service.await_running(job)
    if not held and interface.shows_output:
        service.await_output(job, "begun")
    assert service.post("/terminate", {**job.ref, "force": False, "nodes": []}).json() is True
    ended = service.exit_of(job)
    assert (ended.code, ended.state) == (-15, "CANCELLED")
    if interface.shows_output:
        assert ("begun" in ended.output) is not held
    assert job.name not in service.queued() | service.running()
    if interface.removes_files:
        assert not interface.files("kirby", job.name)
    assert service.post("/terminate", job.ref).json() is True, "ending it again is no error"


@pytest.mark.parametrize("user", ["reverse_engineer-demo", "a_b-c_d", "kirby_s1", "x-y-z@example.com"])
def test_a_user_part_with_hyphens_and_underscores_is_no_riddle(user: str, service: Service) -> None:
    job = service.submit(form(SHORT, user="mario", name=job_name(user, app="app-with_all")))
    ended = service.exit_of(job)
    assert (ended.code, ended.output) == (0, "done\nJARVICE_CMD_SUCCESS\n")


def test_users_whose_names_end_alike_are_never_mixed_up(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    body = 'echo "$(whoami) runs $0"; until [ -e "${0%/*}/go" ]; do sleep 0.1; done'
    # Each portal user sends under each name: the mapping decides, not how a name ends.
    whose = {"x-doe": "kirby", "y-doe": "mario"}
    jobs = {
        (sender, named): service.submit(form(script(body), user=sender, name=job_name(named)))
        for sender in whose
        for named in (*whose, "doe")
    }
    for (sender, _), job in jobs.items():
        user, other = whose[sender], "mario" if whose[sender] == "kirby" else "kirby"
        service.await_output(job, f"{user} runs {interface.control(job.name, user)}/job.sh\n")
        assert cluster.jobs(job.name) == [(job.job_id, user)]
        assert interface.files(user, job.name)
        assert not interface.files(other, job.name)
        cluster.run("touch", f"{interface.control(job.name, user)}/go")
    for (sender, _), job in jobs.items():
        user, ended = whose[sender], service.exit_of(job)
        assert ended.code == 0
        assert ended.output == f"{user} runs {interface.control(job.name, user)}/job.sh\n"
        if interface.removes_files:
            assert not interface.files(user, job.name)


def test_a_job_that_lives_has_no_exit_status_and_keeps_its_files(
    service: Service, interface: Interface
) -> None:
    running = service.submit(form(LONG))
    held = service.submit(form(LONG, held=True))
    service.await_output(running, "begun")
    for job in (running, held):
        before = interface.files("kirby", job.name)
        assert before or job == held
        reply = service.post("/exitstatus", job.ref)
        assert reply.status_code == 409
        assert "no exit status yet" in reply.json()["error"]
        assert interface.files("kirby", job.name) == before
    assert service.tail(running) == "begun\n"
    for job in (running, held):
        service.post("/terminate", job.ref)
    eventually(lambda: not service.running().get(running.name), what="the job's end")
