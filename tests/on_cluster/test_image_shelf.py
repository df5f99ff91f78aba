"""The worked example of a site's own templates for containers: a module, and images on a shelf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.containers import BUSYBOX, Containers
from tests.harness.interface import Interface

EXAMPLE = Path(__file__).parents[2] / "examples" / "image-shelf"
NODES = ("n1", "n2", "n3")
SOLVER = "/apps/images/solvers/cfd_4.2.sif"


@pytest.fixture
def shelf(cluster: Cluster, containers: Containers) -> Iterator[None]:
    """What the example's site has on its nodes: a module system, and one image."""
    assert containers.run("true").code == 0
    folder = f"{containers.interface.scratch or '/home/kirby'}/.jarvice/images.kirby"
    module = "module() { echo module $*; }"
    for node in NODES:
        cluster.run("bash", "-c", f"echo '{module}' >/etc/profile.d/modules.sh", node=node)
        cluster.run("mkdir", "--parents", "/apps/images/solvers", node=node)
        cluster.run("bash", "-c", f"install -m 644 {folder}/*busybox*.sif {SOLVER}", node=node)
    yield
    for node in NODES:
        cluster.run("rm", "--recursive", "/apps", "/etc/profile.d/modules.sh", node=node)


def test_images_come_from_the_shelf_and_nowhere_else(
    interface: Interface, containers_of: Callable[..., Containers], shelf: None
) -> None:
    ours = containers_of(interface, JARVICE_DOWNSTREAM_TEMPLATES=str(EXAMPLE))
    ended = ours.run("cat", "/etc/motd", image="solvers/cfd:4.2", credentials=None)
    assert ended.code == 0, ended.output
    assert "module load apptainer" in ended.output
    assert "test image" in ended.output
    ended = ours.run("true", image=BUSYBOX)
    assert ended.code == 1
    assert "There is no image /apps/images/nintendo/busybox_1.sif on the shelf." in ended.output
    for image in (SOLVER, f"solvers/cfd@sha256:{'0' * 64}"):
        ended = ours.run("true", image=image, credentials=None)
        assert (ended.code, f"and not {image}." in ended.output) == (1, True), ended.output
