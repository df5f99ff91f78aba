"""How fast jobs are taken, by either interface, and what the cluster alone can do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import requests

from benchmarks.bed import PREFIX, USERS, Bed, for_each_thread
from benchmarks.figures import milliseconds, rate, summary
from pipeline import settings
from pipeline.prepare import Preparer
from pipeline.render import PayloadRenderer
from tests.harness.service import Service


def submit_one(bed: Bed) -> str:
    """POST /submit over HTTP, one at a time (cli)."""
    return _one(bed, bed.cli, token=False)


def submit_eight(bed: Bed) -> str:
    """POST /submit over HTTP, eight at a time, three users (cli)."""
    return _eight(bed, bed.cli, token=False)


def http_submit_one(bed: Bed) -> str:
    """POST /submit over HTTP, one at a time (http, through SSH)."""
    return _one(bed, bed.http, token=True)


def http_submit_eight(bed: Bed) -> str:
    """POST /submit over HTTP, eight at a time, three users (http, through SSH)."""
    return _eight(bed, bed.http, token=True)


def bare_post(bed: Bed) -> str:
    """For comparison: the same payload posted straight to slurmrestd, kept alive, one and eight at a time."""
    post = poster(bed)
    post()
    taken = milliseconds(post, 200)
    per_second, failed = rate([post] * 600, 8)
    return f"{summary(taken)}; eight at a time {per_second:.0f} jobs/s, {failed} of 600 failed"


def bare_sbatch(bed: Bed) -> str:
    """For comparison: sbatch on the head itself, as kirby, one at a time and four at a time."""
    shell = (
        "cd; echo '#!/bin/bash' >bench_sbatch.sh; t0=$(date +%s%N); for i in $(seq 100); do "
        "sbatch --hold --parsable bench_sbatch.sh >/dev/null; done; t1=$(date +%s%N); "
        "seq 200 | xargs -P4 -n1 sbatch --hold --parsable bench_sbatch.sh >/dev/null; t2=$(date +%s%N); "
        "echo $(( (t1-t0)/100000 )) $(( 200000000000/(t2-t1) )); rm bench_sbatch.sh"
    )
    micros, at_four = bed.cluster.run("runuser", "-l", "kirby", "-c", shell).split()
    return f"{int(micros) / 1000:.1f} ms, four at a time {at_four} jobs/s"


def poster(bed: Bed) -> Callable[[], None]:
    """Posts one held job's payload to slurmrestd, each thread over a kept connection of its own."""
    chosen = settings.load({"JARVICE_DOWNSTREAM_JOB_NAME_PREFIX": PREFIX})
    version = bed.cluster.api_versions[-1]
    preparer = Preparer(chosen)
    batch = preparer.render(preparer.check(bed.held()))
    body = PayloadRenderer(chosen).payload(batch, version, user="kirby", home="/home/kirby").body()
    url = f"{bed.cluster.url}/slurm/{version}/job/submit"
    headers = {"Content-Type": "application/json", "X-SLURM-USER-TOKEN": bed.tokens["kirby"]}
    session = for_each_thread(requests.Session)

    def post() -> None:
        reply = session().post(url, data=body, headers=headers, timeout=60)
        assert reply.status_code == 200, reply.text

    return post


def _one(bed: Bed, service: Service, *, token: bool) -> str:
    service.submit(bed.held(token=token))
    return summary(milliseconds(lambda: service.submit(bed.held(token=token)), 200))


def _eight(bed: Bed, service: Service, *, token: bool) -> str:
    client = for_each_thread(service.another_client)

    def submit(user: str) -> None:
        client().submit(bed.held(user, token=token))

    for user in USERS:
        submit(user)
    users = itertools.islice(itertools.cycle(USERS), 600)
    per_second, failed = rate([partial(submit, user) for user in users], 8)
    return f"{per_second:.0f} jobs/s, {failed} of 600 failed"
