"""Very many submissions through slurmrestd, of several users, while it restarts."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, job_name, script
from tests.harness.service import Service
from tests.harness.waiting import eventually
from tests.on_cluster.outage import away

JOBS = 500
AT_A_TIME = 8
USERS = ("kirby", "mario", "dovahkiin")
APP = f"many{secrets.token_hex(3)}"
"""What the names of these jobs, and of no earlier ones, have in them."""


@pytest.fixture
def no_job_is_left(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.run("scancel", *(job_id for job_id, _ in cluster.jobs(f"-{APP}-")))


@pytest.mark.usefixtures("no_job_is_left")
def test_none_is_lost_and_none_is_sent_twice(service_of: Callable[[str], Service], cluster: Cluster) -> None:
    service = service_of("http")
    forms = [
        form(script("echo"), user=user, name=job_name(user, APP), held=True)
        for user, _ in zip(itertools.cycle(USERS), range(JOBS), strict=False)
    ]
    retries: list[str] = []

    def send(args: dict[str, str]) -> tuple[str, str]:
        """The name and the id that the upstream gets, which asks again after a 503."""
        upstream = service.another_client()

        def once() -> str | None:
            reply = upstream.post("/submit", args)
            assert reply.status_code in (200, 503), reply.text
            if not reply.ok:
                retries.append(reply.json()["error"])
            return str(reply.json()[0]) if reply.ok else None

        return args["name"], eventually(once, seconds=60, what="an id", pause=0.5)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        sent = [pool.submit(send, args) for args in forms]
        eventually(lambda: sent[JOBS // 3].done(), what="a third of the jobs", pause=0.01)
        with away(cluster, "slurmrestd"):
            eventually(lambda: retries, what="a submission that notices", pause=0.01)
        ids = dict(each.result() for each in sent)
    in_slurm = cluster.jobs(f"-{APP}-")
    assert len(ids) == len(set(ids.values())) == JOBS
    assert sorted(ids.values()) == sorted(job_id for job_id, _ in in_slurm)
    owners = Counter(user for _, user in in_slurm)
    assert owners == Counter(USERS[number % len(USERS)] for number in range(JOBS))
    assert service.queued().items() >= ids.items()
