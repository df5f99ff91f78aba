"""slurmrestd, or what is behind it, goes away while jobs are sent: none is lost, none is sent twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, job_name, script
from tests.harness.interface import http
from tests.harness.recording_proxy import recording_proxy
from tests.harness.service import Service
from tests.harness.slurmrestd import straight_at
from tests.harness.waiting import eventually
from tests.on_cluster.outage import away, well

APP = "outage"
"""What the names of this module's jobs have in them."""


@pytest.fixture(scope="module")
def service(service_of: Callable[[str], Service]) -> Service:
    """The one that submits through slurmrestd, and manages jobs over SSH."""
    return service_of("http")


@pytest.fixture(scope="module", autouse=True)
def no_job_is_left(cluster: Cluster) -> Iterator[None]:
    """Ends the jobs of this module, which are all held."""
    yield
    cluster.run("scancel", *(job_id for job_id, _ in cluster.jobs(f"-{APP}-")))


def held() -> dict[str, Any]:
    """A form of a job that does not run."""
    return form(script("echo"), name=job_name(app=APP), held=True)


def until_taken(service: Service, args: dict[str, Any]) -> str:
    """The id that a caller gets who asks again after each 503, and after nothing else."""

    def once() -> str | None:
        reply = service.post("/submit", args)
        assert reply.status_code in (200, 503), reply.text
        return str(reply.json()[0]) if reply.ok else None

    return eventually(once, seconds=40, what=f"an id for {args['name']}")


def test_without_slurmrestd_submissions_are_503_with_the_reason_and_come_back(
    service: Service, cluster: Cluster
) -> None:
    first = service.submit(held())
    args = held()
    with away(cluster, "slurmrestd"):
        reply = service.post("/submit", args)
        assert reply.status_code == 503
        assert reply.json()["error"].startswith(f"{cluster.inside_url}: ")
        assert reply.headers["Retry-After"]
        unwell = service.get("/gc")
        assert (unwell.status_code, unwell.json()["status"]) == (500, "BAD")
        assert cluster.inside_url in unwell.json()["error"]
        assert service.queued()[first.name] == first.job_id, "managing does not need it"
    second = service.submit(args)
    assert well(service)
    assert cluster.jobs(args["name"]) == [(second.job_id, "kirby")]


def test_kept_connections_that_slurmrestd_has_closed_are_not_noticed(
    service: Service, cluster: Cluster
) -> None:
    service.submit(held())
    cluster.daemon("slurmrestd", "restart")
    service.submit(held())
    assert well(service)


def test_slurmrestd_is_killed_in_the_middle_of_submissions(service: Service, cluster: Cluster) -> None:
    sent: dict[str, str] = {}
    over = threading.Event()

    def send() -> None:
        upstream = service.another_client()
        while not over.is_set():
            args = held()
            sent[args["name"]] = until_taken(upstream, args)

    with ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(send) for _ in range(4)]
        try:
            eventually(lambda: len(sent) >= 8, what="the first jobs", pause=0.01)
            with away(cluster, "slurmrestd", "kill"):
                pass
        finally:
            over.set()
        for sender in senders:
            sender.result()
    for name, job_id in sent.items():
        assert cluster.jobs(name) == [(job_id, "kirby")]


def test_a_submission_whose_answer_is_lost_is_found_again(
    cluster: Cluster, start_service: Callable[..., Service]
) -> None:
    with recording_proxy(cluster) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        service = start_service({**http(cluster).settings, **straight_at(url)})
        service.submit(held())
        proxy.loses = lambda asked: asked.method == "POST"
        args = held()
        lost = service.post("/submit", args)
        assert lost.status_code == 503
        assert f"{url}: " in lost.json()["error"]
        assert "whether the job was accepted is not known yet" in lost.json()["error"]
        again = service.submit(args)
    assert cluster.jobs(args["name"]) == [(again.job_id, "kirby")]
    assert sum(path.startswith("POST ") for path in proxy.paths()) == 2


def test_a_submission_to_a_frozen_slurmctld_is_found_again(
    cluster: Cluster, start_service: Callable[..., Service]
) -> None:
    """It froze after the name was looked for, and takes the job when it goes on."""

    def freezes(path: str) -> str:
        if path.endswith("/job/submit"):
            cluster.daemon("slurmctld", "freeze")
        return path

    with recording_proxy(cluster) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        service = start_service({**http(cluster).settings, **straight_at(url)})
        args = held()
        proxy.leads = freezes
        try:
            reply = service.post("/submit", args)
        finally:
            proxy.leads = lambda path: path
            cluster.daemon("slurmctld", "thaw")
        assert reply.status_code == 503
        assert "whether the job was accepted is not known yet" in reply.json()["error"]
        job_id = until_taken(service, args)
    assert cluster.jobs(args["name"]) == [(job_id, "kirby")]


def test_a_downstream_that_was_killed_knows_the_names_that_it_has_sent(
    cluster: Cluster, start_service: Callable[..., Service]
) -> None:
    service = start_service(http(cluster).settings)
    args = held()
    job = service.submit(args)
    service.stop(signal.SIGKILL)
    service.start()
    assert service.submit(args).job_id == job.job_id
    assert cluster.jobs(job.name) == [(job.job_id, "kirby")]
