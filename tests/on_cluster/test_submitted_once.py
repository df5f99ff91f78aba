"""A name is a job's identity: it is submitted once, and belongs to one portal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.harness.waiting import eventually

LONG = script("echo begun; sleep 300")


def test_the_same_name_sent_twice_is_one_job(service: Service, cluster: Cluster) -> None:
    twice = form(LONG, held=True)
    job = service.submit(twice)
    assert service.submit(twice).job_id == job.job_id
    assert cluster.jobs(job.name) == [(job.job_id, "kirby")]
    service.post("/terminate", job.ref)


def test_the_same_name_sent_by_many_at_once_is_one_job(service: Service, cluster: Cluster) -> None:
    args = form(LONG, held=True)

    def send(_: int) -> str:
        """The id that one caller gets; 503 says that another's submission is under way."""
        client = service.another_client()

        def once() -> str | None:
            reply = client.post("/submit", args)
            assert reply.status_code in (200, 503), reply.text
            return str(reply.json()[0]) if reply.ok else None

        return eventually(once, seconds=30, what="an id")

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(send, range(8)))
    assert len(ids) == 1
    assert cluster.jobs(args["name"]) == [(*ids, "kirby")]
    service.post("/terminate", {"name": args["name"], "number": args["number"], "jobid": ids.pop()})


def test_a_job_that_one_replica_has_sent_is_not_denied_by_another(
    service: Service, own_service: Callable[..., Service]
) -> None:
    other = own_service(JARVICE_DOWNSTREAM_POLL_INTERVAL="60", JARVICE_DOWNSTREAM_SNAPSHOT_MAX_AGE="120")
    other.running()  # there is no other poll for a minute
    for path, status in (("/exitstatus", 409), ("/terminate", 200)):
        job = service.submit(form(LONG, held=True))
        assert other.post(path, job.ref).status_code == status
        assert other.post("/runstatus", job.ref).json()[2] == f"{job.name}/{job.number}/{job.job_id}"
        service.post("/terminate", job.ref)
        assert service.exit_of(job).code == -15


@pytest.mark.parametrize("prefix", ["portal_", "jarvice_b_", "jarvice"])
def test_two_portals_never_see_or_end_each_others_jobs(
    prefix: str,
    service: Service,
    own_service: Callable[..., Service],
) -> None:
    other = own_service(JARVICE_DOWNSTREAM_JOB_NAME_PREFIX=prefix)
    ours, theirs = service.submit(form(LONG)), other.submit(form(LONG))
    service.await_running(ours)
    other.await_running(theirs)
    for portal, own, foreign in ((service, ours, theirs), (other, theirs, ours)):
        seen = portal.running() | portal.queued()
        assert own.name in seen
        assert foreign.name not in seen
        assert foreign.job_id not in seen.values()
        for path in ("/terminate", "/exitstatus", "/release", "/events"):
            assert portal.post(path, foreign.ref).status_code == 404
            assert portal.post(path, {**own.ref, "jobid": foreign.job_id}).status_code == 404
        assert portal.post("/runstatus", foreign.ref).json() == [None] * 4
    assert service.running()[ours.name] == ours.job_id
    assert other.running()[theirs.name] == theirs.job_id
    for portal, own in ((service, ours), (other, theirs)):
        portal.post("/terminate", own.ref)
        assert portal.exit_of(own).code == -15


def test_the_same_name_with_other_content_is_told_as_taken(
    service: Service, own_service: Callable[..., Service], cluster: Cluster
) -> None:
    first = form(LONG, held=True)
    job = service.submit(first)
    other = {**first, "hpc_script": form(script("echo other"))["hpc_script"]}
    for portal in (service, own_service()):  # one that has sent it, and one that has just begun
        refused = portal.post("/submit", other)
        assert refused.status_code == 409, refused.text
        assert (
            f"job {job.job_id} was submitted under it before, with other content" in refused.json()["error"]
        )
        assert portal.submit(first).job_id == job.job_id
    assert cluster.jobs(job.name) == [(job.job_id, "kirby")]
    service.post("/terminate", job.ref)


def test_three_downstreams_that_are_sent_the_same_names_at_once_give_one_job_each(
    interface: Interface, start_service: Callable[..., Service], cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "replicas"
    folder.mkdir()
    interface.write_mapping(folder)
    replicas = [start_service(interface.settings, folder) for _ in range(3)]
    forms = [form(LONG, held=True) for _ in range(4)]

    def send(each: int) -> tuple[str, str]:
        replica, args = replicas[each % 3], forms[each % 4]
        client = replica.another_client()

        def once() -> str | None:
            reply = client.post("/submit", args)
            assert reply.status_code in (200, 503), reply.text
            return str(reply.json()[0]) if reply.ok else None

        return args["name"], eventually(once, seconds=60, what="an id")

    with ThreadPoolExecutor(12) as pool:
        answers = set(pool.map(send, range(24)))
    ids = dict(answers)
    assert len(answers) == len(ids) == 4, "each name has one id"
    for name, job_id in ids.items():
        live = cluster.run("squeue", "--noheader", f"--name=jarvice_{name}", "--format=%A").split()
        assert live == [job_id]
        number = next(args["number"] for args in forms if args["name"] == name)
        replicas[0].post("/terminate", {"name": name, "number": number, "jobid": job_id})


def test_a_second_job_of_a_name_that_slurm_starts_first_ends_and_takes_nothing(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    """As a downstream may leave it that was killed while its request was on its way."""
    first = service.submit(form(script("echo begun"), held=True))
    [(_, user)] = cluster.jobs(first.name)
    batch = cluster.run("scontrol", "write", "batch_script", first.job_id, "-")
    free = "\n".join(line for line in batch.splitlines() if line != "#SBATCH --hold")
    at = ("runuser", "-u", user, "--", "bash", "-c")
    second = cluster.run(*at, f"cd && sbatch --parsable <<'END_OF_COPY'\n{free}\nEND_OF_COPY").strip()
    state = ("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={second}")
    eventually(lambda: cluster.run(*state).strip() == "FAILED", what="the end of the second job")
    assert service.queued()[first.name] == first.job_id
    service.post("/release", first.ref)
    ended = service.exit_of(first)
    assert (ended.code, "begun" in ended.output) == (0, True)
