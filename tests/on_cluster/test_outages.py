"""What a user sees while a part of the cluster is away, and after it is back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually


@contextmanager
def away(cluster: Cluster, daemon: str, how: str = "stop") -> Iterator[None]:
    """A daemon of the head is stopped or killed, and started again in any case."""
    cluster.daemon(daemon, how)
    try:
        yield
    finally:
        cluster.daemon(daemon, "start")


def well(service: Service) -> bool:
    """Whether the service answers all of its questions about the whole cluster."""
    return all(service.get(path).ok for path in ("/running", "/queued", "/gc"))


def until_told(then: str) -> str:
    """A script that goes on when its control folder has a file ``go``."""
    return script(f'echo begun; until [ -e "${{0%/*}}/go" ]; do sleep 0.1; done; {then}')


def tell(cluster: Cluster, job: Sent, user: str = "kirby") -> None:
    """Let that script go on."""
    cluster.run("touch", f"/home/{user}/.jarvice/control/{job.name}/go")


def ended_in_slurm(cluster: Cluster, job: Sent) -> None:
    """Return when slurmctld has nothing more to do for the job."""
    state = ("squeue", "--noheader", "--states=all", "--format=%T", f"--name=jarvice_{job.name}")
    over = {"COMPLETED", "FAILED", "CANCELLED", ""}
    eventually(lambda: cluster.run(*state).strip() in over, what=f"the end of {job.name}")


def test_without_slurmctld_lists_are_503_with_the_reason_and_come_back(
    service: Service, cluster: Cluster
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
    tell(cluster, job)
    assert service.exit_of(job).code == 1


def test_a_restarted_or_killed_sshd_is_only_a_pause(service: Service, cluster: Cluster) -> None:
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
    tell(cluster, job)
    assert service.exit_of(job).code == 0


def test_sessions_that_are_cut_without_a_pause_are_not_even_noticed(
    service: Service, cluster: Cluster
) -> None:
    job = service.submit(form(until_told("echo JARVICE_CMD_SUCCESS")))
    service.await_output(job, "begun")
    with away(cluster, "sshd", "kill"):
        pass
    assert service.tail(job) == "begun\n"
    assert service.submit(form(script("echo JARVICE_CMD_SUCCESS"))).job_id
    assert well(service)
    tell(cluster, job)
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


@contextmanager
def forgetful(cluster: Cluster) -> Iterator[None]:
    """slurmctld forgets jobs soon after their end."""
    conf = Path(cluster.info["slurm_conf"])
    text = conf.read_text(encoding="utf-8")
    lines = ["MinJobAge=2" if line.startswith("MinJobAge=") else line for line in text.splitlines()]
    conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        restart_slurmctld(cluster)
        yield
    finally:
        conf.write_text(text, encoding="utf-8")
        restart_slurmctld(cluster)


def restart_slurmctld(cluster: Cluster) -> None:
    """When it has told slurmdbd everything: 24.11's can crash at its start over what is left to tell."""
    eventually(lambda: "DBD Agent queue size: 0\n" in cluster.run("sdiag"), what="an empty queue", pause=0.5)
    cluster.daemon("slurmctld", "restart")


def test_exit_records_settle_jobs_that_neither_squeue_nor_sacct_know(
    service: Service, own_service: Callable[..., Service], cluster: Cluster
) -> None:
    with forgetful(cluster), away(cluster, "slurmdbd"):
        good = service.submit(form(script("sleep 2; echo fine")))
        bad = service.submit(form(script("echo not fine; exit 3"), user="mario"))
        ended = service.submit(form(until_told("exit 0")))
        service.await_output(ended, "begun")
        assert service.post("/terminate", ended.ref).ok
        for job in (good, bad, ended):
            forgotten(cluster, job)
        fresh = own_service()
        fine = fresh.exit_of(good)
        assert (fine.code, fine.output) == (0, "fine\n")
        assert "00:00:02" <= fine.elapsed <= "00:00:10"
        assert fresh.exit_of(bad).code == 1
        # No record says how this one ended, and that is not guessed.
        assert fresh.post("/exitstatus", ended.ref).status_code == 503
    assert fresh.exit_of(ended).code == -15
