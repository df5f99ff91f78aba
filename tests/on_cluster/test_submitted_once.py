"""A name is a job's identity: it is submitted once, and belongs to one portal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
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
