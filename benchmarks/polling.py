"""What it costs to answer polls, here and on the cluster."""

from __future__ import annotations

import re
import time

from benchmarks.bed import Bed
from benchmarks.figures import milliseconds, rate, summary
from benchmarks.submitting import poster
from tests.harness.waiting import eventually

_POLLS_AN_HOUR = 720
"""One every five seconds, the default."""
_MIB = 1024 * 1024


def running(bed: Bed) -> str:
    """GET /running, 20 times a second for 30 s, with 1,000 jobs pending (cli)."""
    service = bed.cli
    missing = 1000 - len(service.queued())
    rate([lambda: service.another_client().submit(bed.held())] * max(0, missing), 8)
    before, begun, taken = _squeue_calls(bed), time.monotonic(), []
    while time.monotonic() - begun < 30:
        at = time.monotonic()
        taken += milliseconds(service.running, 1)
        time.sleep(max(0.0, 0.05 - (time.monotonic() - at)))
    calls = _squeue_calls(bed) - before
    return f"{summary(taken)}; {len(service.queued())} pending; {calls * 2} squeue calls a minute"


def http_polls(bed: Bed) -> str:
    """An hour's worth of polls through slurmrestd (720), with 10,000 jobs pending; slurmrestd's memory."""
    post = poster(bed)
    begun = time.monotonic()
    rate([post] * 10_000, 8)
    filled = time.monotonic() - begun
    service = bed.managed
    before, begun = bed.cluster.memory("slurmrestd"), time.monotonic()
    # After a start every job is read once, which takes more than one poll.
    eventually(lambda: service.get("/queued").ok, seconds=300, what="the first answer")
    first = time.monotonic() - begun
    taken = [taken for _ in range(_POLLS_AN_HOUR) for taken in _poll(bed)]
    after = bed.cluster.memory("slurmrestd")
    pending = len(service.get("/queued").json())  # a list: all of them have one name
    return (
        f"first answer after {first:.0f} s; {summary(taken)}; {pending} pending; "
        f"slurmrestd {before / _MIB:.0f} MiB before, {after / _MIB:.0f} MiB after (filled in {filled:.0f} s)"
    )


def _poll(bed: Bed) -> list[float]:
    """One answer that slurmrestd was asked for: the last one is old enough."""
    time.sleep(0.1)
    return milliseconds(bed.managed.queued, 1)


def _squeue_calls(bed: Bed) -> int:
    """How often slurmctld was asked for all jobs (REQUEST_JOB_INFO) since its start."""
    found = re.search(r"REQUEST_JOB_INFO\s.*count:(\d+)", bed.cluster.run("sdiag"))
    return int(found[1]) if found else 0
