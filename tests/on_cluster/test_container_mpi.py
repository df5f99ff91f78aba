"""Native jobs with MPI: every rank runs the command, in a container of its own, and they find each other."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.harness.cluster import Cluster
from tests.harness.containers import REGISTRY, Containers
from tests.on_cluster.ways import only_cli

IMAGE = f"{REGISTRY}/nintendo/mpi:1"
TWO_NODES = {"nodelist": "n1,n2"}


def ranks(output: str) -> Counter[tuple[str, str, str]]:
    """Rank, size and host of each line that a rank has printed."""
    return Counter(re.findall(r"^rank (\d+) of (\d+) on (\S+)$", output, re.MULTILINE))


def test_ranks_on_two_nodes_find_each_other(containers: Containers, cluster: Cluster) -> None:
    ended = containers.run(
        "mpi-hello", image=IMAGE, mpi=cluster.info["mpi_type"], nodes=2, cores=2, sbatch=TWO_NODES
    )
    assert ended.code == 0, ended.output
    hosts = {rank: host for rank, _, host in ranks(ended.output)}
    assert set(ranks(ended.output)) == {(str(rank), "4", hosts[str(rank)]) for rank in range(4)}
    assert Counter(hosts.values()) == {"n1": 2, "n2": 2}


@only_cli
def test_fewer_ranks_than_cores_with_an_overlay_for_each(containers: Containers, cluster: Cluster) -> None:
    ended = containers.run(
        "sh", "-c", "echo mine >/file && cat /file && exec mpi-hello",
        image=IMAGE, mpi=cluster.info["mpi_type"], nodes=2, cores=4, ranks_per_node=2, overlay_mb=128,
        sbatch=TWO_NODES,
    )  # fmt: skip
    assert ended.code == 0, ended.output
    assert len(ranks(ended.output)) == 4
    assert ended.output.splitlines().count("mine") == 4


@only_cli
@pytest.mark.parametrize(
    "script",
    [
        "exit $((7 * SLURM_PROCID))",
        '[ "$SLURM_PROCID" = 0 ] || { sleep 3; exit 7; }',
        '[ "$SLURM_PROCID" != 0 ] || sleep 60; exit 7',
    ],
)
def test_a_rank_that_fails_makes_the_job_fail_with_its_code(
    containers: Containers, cluster: Cluster, script: str
) -> None:
    ended = containers.run(
        "sh", "-c", f"mpi-hello; {script}",
        image=IMAGE, mpi=cluster.info["mpi_type"], nodes=2, cores=1, sbatch=TWO_NODES,
    )  # fmt: skip
    assert (ended.state, ended.code) == ("FAILED", 7), ended.output
