"""What a user sees while a part of the cluster is away, and after it is back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.harness.waiting import eventually, within
from tests.on_cluster.outage import away, tell, until_told, well


def test_without_slurmctld_lists_are_503_with_the_reason_and_come_back(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    job = service.submit(form(until_told("exit 3")))
    service.await_output(job, "begun")
    with away(cluster, "slurmctld"):
        eventually(lambda: not service.get("/running").ok, what="the first error")
        for path in ("/running", "/queued"):
            reply = service.get(path)
            assert reply.status_code == 503
            assert "Unable to contact slurm controller" in reply.json()["error"]
            assert reply.headers["Retry-After"]
        unwell = service.get("/gc")
        assert (unwell.status_code, unwell.json()["status"]) == (500, "BAD")
        assert service.get("/live").ok
        assert service.post("/exitstatus", job.ref).status_code == 503
    eventually(lambda: well(service), seconds=20, what="well again")
    service.await_running(job)
    tell(interface, job)
    assert service.exit_of(job).code == 1


def test_a_submission_that_slurmctld_missed_can_be_sent_again(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    args = form(script("echo JARVICE_CMD_SUCCESS"))
    with away(cluster, "slurmctld"):
        first = service.post("/submit", args)
        assert first.status_code == 503
    # A service that has just begun looks before it sends, so it may not have come to that.
    if interface.name == "cli" or "whether the job was accepted" in first.json()["error"]:
        unsettled = service.post("/submit", args)
        assert unsettled.status_code == 503, "it may still have been accepted"
        assert "it is settled " in unsettled.json()["error"]
    if interface.name == "cli":  # as if some minutes had passed; slurmrestd is believed sooner
        a_while_ago = f"c={interface.control(args['name'])}; echo 1 >$c/missed; echo 0 0 1 >$c/claim"
        cluster.run("runuser", "-u", "kirby", "--", "bash", "-c", a_while_ago)
    eventually(lambda: service.post("/submit", args).ok, seconds=30, what="the submission")
    job = service.submit(args)
    assert cluster.jobs(job.name) == [(job.job_id, "kirby")]
    assert service.exit_of(job).code == 0


def test_a_restarted_or_killed_sshd_is_only_a_pause(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    job = service.submit(form(until_told("echo JARVICE_CMD_SUCCESS")))
    service.await_output(job, "begun")
    cluster.daemon("sshd", "restart")
    assert well(service)
    assert service.tail(job) == "begun\n"
    with away(cluster, "sshd", "kill"):
        eventually(lambda: not service.get("/running").ok, what="the first error")
        reply = service.get("/running")
        assert reply.status_code == 503
        assert "ssh: jarvice@127.0.0.1" in reply.json()["error"]
        assert service.get("/gc").status_code == 500
    eventually(lambda: well(service), seconds=20, what="well again")
    assert service.running()[job.name] == job.job_id
    assert service.tail(job) == "begun\n"
    tell(interface, job)
    assert service.exit_of(job).code == 0


def test_sessions_that_are_cut_without_a_pause_are_not_even_noticed(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    job = service.submit(form(until_told("echo JARVICE_CMD_SUCCESS")))
    service.await_output(job, "begun")
    with away(cluster, "sshd", "kill"):
        pass
    assert service.tail(job) == "begun\n"
    assert service.submit(form(script("echo JARVICE_CMD_SUCCESS"))).job_id
    assert well(service)
    tell(interface, job)
    assert service.exit_of(job).code == 0


def test_a_network_that_swallows_everything_is_an_error_in_time(
    service: Service, own_service: Callable[..., Service], interface: Interface, cluster: Cluster
) -> None:
    timeouts = ("JARVICE_DOWNSTREAM_COMMAND_TIMEOUT", "JARVICE_DOWNSTREAM_SSH_CONNECT_TIMEOUT")
    job = service.submit(form(until_told("exit 3")))
    service.await_output(job, "begun")
    impatient = own_service(**dict.fromkeys(timeouts, "2"))
    eventually(lambda: well(impatient), what="well before it")
    cluster.daemon("sshd", "freeze")
    try:
        eventually(lambda: not impatient.get("/running").ok, seconds=10, what="the first error")
        with within(5):
            assert impatient.get("/queued").status_code == 503
        with within(1):
            assert impatient.get("/live").ok
    finally:
        cluster.daemon("sshd", "thaw")
    for each in (impatient, service):
        eventually(partial(well, each), seconds=20, what="well again")
    assert impatient.running()[job.name] == job.job_id
    tell(interface, job)
    assert service.exit_of(job).code == 1
