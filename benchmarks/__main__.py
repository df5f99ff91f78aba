"""The figures that the project is held to. ``./run bench [NAME...]`` prints one line each."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.bed import Bed
from benchmarks.containers import container_start
from benchmarks.here import check_and_render, start
from benchmarks.polling import http_polls, running
from benchmarks.submitting import (
    bare_post,
    bare_sbatch,
    http_submit_eight,
    http_submit_one,
    submit_eight,
    submit_one,
)
from tests.harness.cluster import Cluster

BENCHES: dict[str, Callable[[Bed], str]] = {
    "start": start,
    "render": check_and_render,
    "sbatch": bare_sbatch,
    "submit": submit_one,
    "submit-eight": submit_eight,
    "running": running,
    "post": bare_post,
    "http-submit": http_submit_one,
    "http-submit-eight": http_submit_eight,
    "http-polls": http_polls,
    "container": container_start,
}


def main() -> None:
    """Run the named measurements, or all of them."""
    parser = argparse.ArgumentParser(prog="./run bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    names = parser.parse_args().names or list(BENCHES)
    unknown = set(names) - set(BENCHES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    with tempfile.TemporaryDirectory() as scratch:
        bed = Bed(Cluster.start("trixie"), Path(scratch))
        try:
            for name in names:
                figure = BENCHES[name](bed)
                sys.stdout.write(f"{name:17} {BENCHES[name].__doc__}\n{'':17} {figure}\n")
                sys.stdout.flush()
        finally:
            bed.close()


if __name__ == "__main__":
    main()
