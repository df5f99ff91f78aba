"""The figures that the project is held to. ``./run bench [NAME...]`` prints one line each.

Jobs are submitted held, so that the cluster's scheduling is not measured with them, and are
cancelled at the end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.figures import milliseconds, rate, summary
from pipeline import settings
from pipeline.prepare import Preparer
from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.service import Service

EXAMPLE = Path(__file__).parents[1] / "examples" / "upstream" / "two-nodes.json"
USERS = ("kirby", "mario", "dovahkiin")
PREFIX = "bench_"
HELD = script("echo never runs")


def submit_one(service: Service, cluster: Cluster) -> str:
    """POST /submit over HTTP, one at a time."""
    service.submit(form(HELD, held=True))
    return summary(milliseconds(lambda: service.submit(form(HELD, held=True)), 200))


def submit_eight(service: Service, cluster: Cluster) -> str:
    """POST /submit over HTTP, eight at a time, three users."""
    local = threading.local()

    def submit(user: str) -> None:
        if not hasattr(local, "client"):
            local.client = service.another_client()
        local.client.submit(form(HELD, user=user, held=True))

    for user in USERS:
        submit(user)
    users = itertools.islice(itertools.cycle(USERS), 600)
    per_second, failed = rate([partial(submit, user) for user in users], 8)
    return f"{per_second:.0f} jobs/s, {failed} of 600 failed"


def running(service: Service, cluster: Cluster) -> str:
    """GET /running, 20 times a second for 30 s, with 1,000 jobs pending."""
    missing = 1000 - len(service.queued())
    rate([lambda: service.another_client().submit(form(HELD, held=True))] * max(0, missing), 8)
    before, begun, taken = _squeue_calls(cluster), time.monotonic(), []
    while time.monotonic() - begun < 30:
        at = time.monotonic()
        taken += milliseconds(service.running, 1)
        time.sleep(max(0.0, 0.05 - (time.monotonic() - at)))
    calls = _squeue_calls(cluster) - before
    return f"{summary(taken)}; {len(service.queued())} pending; {calls * 2} squeue calls a minute"


def check_and_render(service: Service, cluster: Cluster) -> str:
    """Check a form and render its batch script, in this process."""
    args = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    preparer = Preparer(settings.load({}))
    preparer.prepare(args)
    begun = time.perf_counter()
    for _ in range(2000):
        preparer.prepare(args)
    return f"{2000 / (time.perf_counter() - begun):.0f} a second"


def start(service: Service, cluster: Cluster) -> str:
    """From the start of python3 main.py to the first /live."""
    taken = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as scratch:
            cluster.write_mapping(Path(scratch))
            another = Service(Path(scratch), cluster.settings())
            taken += milliseconds(another.start, 1)
            another.stop()
    return summary(taken)


def bare_sbatch(service: Service, cluster: Cluster) -> str:
    """For comparison: sbatch on the head itself, as kirby, one at a time and four at a time."""
    shell = (
        "cd; echo '#!/bin/bash' >bench_sbatch.sh; t0=$(date +%s%N); for i in $(seq 100); do "
        "sbatch --hold --parsable bench_sbatch.sh >/dev/null; done; t1=$(date +%s%N); "
        "seq 200 | xargs -P4 -n1 sbatch --hold --parsable bench_sbatch.sh >/dev/null; t2=$(date +%s%N); "
        "echo $(( (t1-t0)/100000 )) $(( 200000000000/(t2-t1) )); rm bench_sbatch.sh"
    )
    micros, at_four = cluster.run("runuser", "-l", "kirby", "-c", shell).split()
    return f"{int(micros) / 1000:.1f} ms, four at a time {at_four} jobs/s"


BENCHES: dict[str, Callable[[Service, Cluster], str]] = {
    "start": start,
    "render": check_and_render,
    "sbatch": bare_sbatch,
    "submit": submit_one,
    "submit-eight": submit_eight,
    "running": running,
}


def main() -> None:
    """Run the named measurements, or all of them."""
    parser = argparse.ArgumentParser(prog="./run bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    names = parser.parse_args().names or list(BENCHES)
    unknown = set(names) - set(BENCHES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    cluster = Cluster.start("trixie")
    with tempfile.TemporaryDirectory() as scratch:
        cluster.write_mapping(Path(scratch))
        quiet = {
            "JARVICE_SCHED_LOGLEVEL": "WARNING",
            "JARVICE_DOWNSTREAM_POLL_INTERVAL": "5",
            "JARVICE_DOWNSTREAM_JOB_NAME_PREFIX": PREFIX,
        }
        service = Service(Path(scratch), cluster.settings() | quiet).start()
        try:
            for name in names:
                figure = BENCHES[name](service, cluster)
                sys.stdout.write(f"{name:13} {BENCHES[name].__doc__}\n{'':13} {figure}\n")
                sys.stdout.flush()
        finally:
            service.stop()
            _cancel_all(cluster)


def _cancel_all(cluster: Cluster) -> None:
    """Cancel what the measurements have submitted, and nothing else."""
    listed = cluster.run("squeue", "--noheader", "--states=PENDING", "--format=%A %j").splitlines()
    ours = [line.split()[0] for line in listed if line.split()[1].startswith(PREFIX)]
    for at in range(0, len(ours), 500):
        cluster.run("scancel", *ours[at : at + 500])


def _squeue_calls(cluster: Cluster) -> int:
    """How often slurmctld was asked for all jobs (REQUEST_JOB_INFO) since its start."""
    found = re.search(r"REQUEST_JOB_INFO\s.*count:(\d+)", cluster.run("sdiag"))
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
