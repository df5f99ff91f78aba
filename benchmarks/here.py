"""What happens on this machine alone."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from benchmarks.bed import Bed
from benchmarks.figures import milliseconds, summary
from pipeline import settings
from pipeline.prepare import Preparer
from pipeline.render import PayloadRenderer
from pipeline.slurm.api_versions import API_VERSIONS
from tests.harness.service import Service

_EXAMPLE = Path(__file__).parents[1] / "examples" / "upstream" / "two-nodes.json"
_TIMES = 2000


def check_and_render(bed: Bed) -> str:
    """Check a form and render its batch script, in this process; and slurmrestd's payload of it."""
    args = json.loads(_EXAMPLE.read_text(encoding="utf-8"))
    chosen = settings.load({})
    preparer, payloads = Preparer(chosen), PayloadRenderer(chosen)
    batch = preparer.render(preparer.check(args))
    payloads.payload(batch, API_VERSIONS[0], user="kirby", home="/home/kirby")
    begun = time.perf_counter()
    for _ in range(_TIMES):
        preparer.render(preparer.check(args))
    middle = time.perf_counter()
    for _ in range(_TIMES):
        payloads.payload(batch, API_VERSIONS[0], user="kirby", home="/home/kirby").body()
    end = time.perf_counter()
    return f"{_TIMES / (middle - begun):.0f} a second; payload {_TIMES / (end - middle):.0f} a second"


def start(bed: Bed) -> str:
    """From the start of python3 main.py to the first /live."""
    taken = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as scratch:
            bed.cluster.write_mapping(Path(scratch))
            another = Service(Path(scratch), bed.cluster.settings())
            taken += milliseconds(another.start, 1)
            another.stop()
    return summary(taken)
