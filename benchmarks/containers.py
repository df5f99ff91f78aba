"""What our templates add to a container that somebody would start by hand."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bed import Bed
from benchmarks.figures import summary
from tests.harness import interface
from tests.harness.containers import Containers

_TIMES = 20
_NODE = "n1"
_COMMAND = ("cat", "/proc/uptime")
"""Tells the time in hundredths of a second: the container's clock is this machine's."""


def container_start(bed: Bed) -> str:
    """From submit (cli) to the command's first output, image cached, 64 MB overlay; and its parts by hand."""
    with TemporaryDirectory() as folder:
        containers = Containers(bed.cluster, interface.cli(bed.cluster), Path(folder))
        try:
            image = _cached_image(containers)
            by_hand = [_by_hand(bed, image) for _ in range(_TIMES)]
            by_slurm = [_by_slurm(bed) for _ in range(_TIMES)]
            submitted = [_submitted(containers, "always") for _ in range(_TIMES)]
            missing = [_submitted(containers, "missing") for _ in range(_TIMES)]
        finally:
            containers.close()
    return (
        f"{summary(submitted)}; pull: missing {summary(missing)}; "
        f"singularity exec by hand on the node {summary(by_hand)}; "
        f"the command without a container by sbatch and srun {summary(by_slurm)}"
    )


def _cached_image(containers: Containers) -> str:
    ended = containers.run("true", sbatch={"nodelist": _NODE})
    assert ended.code == 0, ended.output
    folder = "/home/kirby/.jarvice/images.kirby"
    newest = containers.cluster.run("bash", "-c", 'ls -t "$0"/*busybox*.sif | head -1', folder)
    return newest.strip()


def _submitted(containers: Containers, pull: str) -> float:
    """Milliseconds from the submission to the command's first output."""
    begun = time.time()
    job = containers.submit(*_COMMAND, overlay_mb=64, pull=pull, sbatch={"nodelist": _NODE})
    ended = containers.end_of(job)
    return _since(begun, ended.output)


def _by_hand(bed: Bed, image: str) -> float:
    line = (
        "i=$(mktemp -u); apptainer --quiet overlay create --sparse --size 64 $i; "
        f"apptainer --quiet exec --cleanenv --overlay $i {image} {' '.join(_COMMAND)}; rm -f $i"
    )
    begun = time.time()
    return _since(begun, bed.cluster.run("runuser", "-u", "kirby", "--", "bash", "-c", line, node=_NODE))


def _by_slurm(bed: Bed) -> float:
    wrapped = f"srun {' '.join(_COMMAND)}"
    line = (
        f"cd; sbatch --wait --nodelist={_NODE} --output=bench.out --wrap '{wrapped}' >/dev/null; "
        "cat bench.out; rm bench.out"
    )
    begun = time.time()
    return _since(begun, bed.cluster.run("runuser", "-u", "kirby", "--", "bash", "-c", line))


def _since(begun: float, output: str) -> float:
    """Milliseconds from a moment to the time that the command has put out."""
    uptime = float(output.split()[0])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return (booted + uptime - begun) * 1000
