"""Exit statuses of jobs that slurmctld, slurmdbd or the downstream has lost sight of."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually
from tests.on_cluster.outage import away, ended_in_slurm, forgetful, tell, until_told
from tests.on_cluster.ways import only_cli


def test_a_requeued_job_is_the_same_job_and_is_not_over(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    job = service.submit(form(until_told("echo JARVICE_CMD_SUCCESS")))
    service.await_output(job, "begun")
    cluster.run("scontrol", "requeue", job.job_id)
    eventually(lambda: service.queued().get(job.name) == job.job_id, what="the job queued again")
    assert service.post("/exitstatus", job.ref).status_code == 409
    eventually(lambda: "JobState=PENDING" in service.post("/events", job.ref).json(), what="pending")
    # Sooner than that slurmd still refuses the job as one that was killed.
    cluster.run("scontrol", "update", f"jobid={job.job_id}", "starttime=now+3")
    service.await_running(job)
    tell(interface, job)
    assert service.exit_of(job).code == 0


def test_a_job_that_ended_without_slurmdbd_has_its_exit_status(service: Service, cluster: Cluster) -> None:
    with away(cluster, "slurmdbd"):
        good = service.submit(form(script("echo JARVICE_CMD_SUCCESS")))
        bad = service.submit(form(script("exit 3")))
        assert service.exit_of(good).code == 0
        assert service.exit_of(bad).code == 1
        assert service.get("/gc").ok


def test_a_downstream_without_memory_knows_how_earlier_jobs_ended(
    service: Service, own_service: Callable[..., Service], cluster: Cluster
) -> None:
    jobs = [service.submit(form(script(body))) for body in ("echo fine", "echo not fine; exit 3")]
    for job in jobs:
        ended_in_slurm(cluster, job)
    fresh = own_service()
    fine, not_fine = (fresh.exit_of(job) for job in jobs)
    assert (fine.code, fine.output) == (0, "fine\n")
    assert (not_fine.code, not_fine.output.splitlines()[0]) == (1, "not fine")


def forgotten(cluster: Cluster, job: Sent) -> None:
    """Return when squeue does not know the job any more."""
    eventually(lambda: not cluster.jobs(job.name), seconds=120, what=f"squeue without {job.name}")


@only_cli  # and jobs through slurmrestd beside it, where the site lets the entry user in and where not
def test_exit_records_settle_jobs_that_neither_squeue_nor_sacct_know(
    service: Service,
    own_service: Callable[..., Service],
    interface_of: Callable[[str], Interface],
    cluster: Cluster,
) -> None:
    http = interface_of("http").settings
    let_in, kept_out = own_service(**http), own_service(**{**http, "JARVICE_JOB_SCRATCH_DIR": ""})
    with forgetful(cluster), away(cluster, "slurmdbd"):
        shown = let_in.submit(form(script("exit 3")))
        hidden = kept_out.submit(form(script("exit 3")))
        good = service.submit(form(script("sleep 2; echo fine")))
        bad = service.submit(form(script("echo not fine; exit 3"), user="mario"))
        ended = service.submit(form(script("echo begun; exec sleep 300")))
        killed = service.submit(form(script('kill -KILL "$PPID"')))
        service.await_output(ended, "begun")
        assert service.post("/terminate", ended.ref).ok
        for job in (good, bad, ended, killed, shown, hidden):
            forgotten(cluster, job)
        fresh = own_service()
        fine = fresh.exit_of(good)
        assert (fine.code, fine.output) == (0, "fine\n")
        assert "00:00:02" <= fine.elapsed < "00:01:00"
        assert fresh.exit_of(bad).code == 1
        assert fresh.exit_of(ended).code == 1
        # No record says how this one ended, and that is not guessed.
        assert fresh.post("/exitstatus", killed.ref).status_code == 503
        assert let_in.exit_of(shown).code == 1
        assert kept_out.post("/exitstatus", hidden.ref).status_code == 503
    assert fresh.exit_of(killed).code == 1
    assert kept_out.exit_of(hidden).code == 1
