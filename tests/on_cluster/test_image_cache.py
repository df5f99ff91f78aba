"""Images of native jobs: one pull for all, whatever dies meanwhile, and always the one that the tag names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness.cluster import Cluster
from tests.harness.containers import REGISTRY, Containers, Sent
from tests.harness.interface import SHARED, Interface
from tests.harness.waiting import eventually
from tests.on_cluster.ways import only_cli

NODES = ("n1", "n2", "n3")
LARGE = 60 * 1024 * 1024
"""Bytes of an image whose pull takes long enough to be killed half-way."""


def pushed(cluster: Cluster, name: str, mark: bytes) -> str:
    """The reference of a new image of this name, which has the mark in a file."""
    repository, _, tag = name.partition(":")
    cluster.push_image(repository, tag, {"mark": mark})
    return f"{REGISTRY}/{name}"


@pytest.fixture
def pulls(cluster: Cluster) -> Callable[[str], Counter[str]]:
    """How often each blob of a repository was fetched since the test began."""
    before = len(cluster.registry_requests())

    def counted(repository: str) -> Counter[str]:
        return Counter(
            path
            for method, path, status in cluster.registry_requests()[before:]
            if method == "GET" and f"/{repository}/blobs/" in path and status < 400
        )

    return counted


def cache(containers: Containers, user: str = "kirby") -> str:
    """The folder of a user's own cache."""
    return f"{containers.interface.scratch or f'/home/{user}'}/.jarvice/images.{user}"


def cached(cluster: Cluster, containers: Containers, user: str = "kirby") -> list[str]:
    """The files of a user's own cache."""
    return cluster.run("bash", "-c", 'ls "$0" 2>/dev/null || true', cache(containers, user)).split()


def forget_images(cluster: Cluster, containers: Containers) -> None:
    cluster.run("rm", "--recursive", "--force", cache(containers))


def test_ten_jobs_on_three_nodes_make_one_pull(
    containers: Containers, cluster: Cluster, pulls: Callable[[str], Counter[str]]
) -> None:
    forget_images(cluster, containers)
    image = pushed(cluster, "nintendo/shared:1", os.urandom(1024 * 1024))
    jobs = [
        containers.submit("true", image=image, sbatch={"nodelist": NODES[number % 3]}) for number in range(10)
    ]
    ended = [containers.end_of(job) for job in jobs]
    assert [(end.state, end.code) for end in ended] == [("COMPLETED", 0)] * 10, ended
    counted = eventually(lambda: pulls("nintendo/shared"), what="the registry's log")
    assert set(counted.values()) == {1}, counted
    assert len([file for file in cached(cluster, containers) if file.endswith(".sif")]) == 1


def test_a_tag_that_moved_is_pulled_anew_and_one_that_did_not_is_not(
    containers: Containers, cluster: Cluster, pulls: Callable[[str], Counter[str]]
) -> None:
    def says(text: str, **spec: str) -> None:
        ended = containers.run("cat", "/mark", image=f"{REGISTRY}/nintendo/moving:1", **spec)
        assert (ended.code, ended.output.splitlines()[-1]) == (0, text), ended.output

    pushed(cluster, "nintendo/moving:1", b"old\n")
    says("old")
    first = eventually(lambda: pulls("nintendo/moving"), what="the registry's log")
    says("old")
    assert pulls("nintendo/moving") == first
    pushed(cluster, "nintendo/moving:1", b"new\n")
    says("old", pull="missing")
    says("new")
    says("new", pull="missing")


def test_a_pull_that_was_killed_leaves_no_bad_image_and_no_dead_lock(
    containers: Containers, cluster: Cluster
) -> None:
    forget_images(cluster, containers)
    image = pushed(cluster, "nintendo/large:1", os.urandom(LARGE))
    # Stopped until it is killed: else it may be over before Slurm has started the second job. Who stops it is
    # sent before the job, or the pull may be over before that.
    stop = 'until pkill --signal=STOP --full "[p]ull .*/nintendo/large@"; do sleep 0.01; done'
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(cluster.run, "timeout", "60", "bash", "-c", stop, node="n1")
        first = containers.submit("true", image=image, sbatch={"nodelist": "n1"})
        stopped.result()
    containers.await_output(first, "pulling ")
    waiting = containers.submit("sh", "-c", "wc -c </mark", image=image, sbatch={"nodelist": "n3"})
    containers.await_output(waiting, "waiting for another job that pulls")
    assert not [file for file in cached(cluster, containers) if file.endswith(".sif")]
    cluster.run("scancel", "--signal=KILL", "--full", first.job_id)
    killed = containers.end_of(first)
    assert killed.state != "COMPLETED", "it was killed before its pull had ended"
    ended = containers.end_of(waiting)
    assert ended.code == 0, ended.output
    assert str(LARGE) in ended.output
    files = cached(cluster, containers)
    assert not [file for file in files if "partial" in file]
    assert len([file for file in files if file.endswith(".sif")]) == 1


def test_a_job_that_slurm_starts_again_has_its_image_and_needs_no_login(
    containers: Containers, cluster: Cluster
) -> None:
    job = containers.submit(
        script='echo run $SLURM_RESTART_COUNT; [ -n "$SLURM_RESTART_COUNT" ] || sleep 600',
        sbatch={"requeue": True},
    )
    containers.await_output(job, "run")
    assert "secrets" not in cluster.run("ls", job.control)
    cluster.run("scontrol", "requeue", job.job_id)
    # slurmctld holds a requeued job back for minutes; in the second of its requeue it cannot start at all.
    eventually(lambda: requeued(cluster, job), what="the requeue")
    cluster.run("bash", "-c", f"scontrol update jobid={job.job_id} starttime=now+3 || true")
    ended = containers.end_of(job, seconds=180)
    assert ended.code == 0, ended.output
    assert "run 1" in ended.output


def requeued(cluster: Cluster, job: Sent) -> bool:
    return "Restarts=1" in cluster.run("scontrol", "show", "job", job.job_id)


@only_cli
def test_users_share_the_images_of_a_global_registry(
    interface: Interface, containers_of: Callable[..., Containers], cluster: Cluster,
    pulls: Callable[[str], Counter[str]],
) -> None:  # fmt: skip
    scratch = f"{SHARED}/global-{os.urandom(4).hex()}"
    cluster.run("install", "--directory", "--mode=1777", f"{scratch}/.jarvice/images")
    containers = containers_of(
        interface,
        JARVICE_JOB_GLOBAL_SCRATCH_DIR=scratch,
        JARVICE_JOB_GLOBAL_REGISTRIES=f"{REGISTRY}/nintendo",
    )
    image = pushed(cluster, "nintendo/global:1", os.urandom(64))
    try:
        for user in ("kirby", "mario", "kirby"):
            ended = containers.run("cat", "/etc/motd", image=image, user=user)
            assert ended.code == 0, ended.output
        assert set(pulls("nintendo/global").values()) == {1}
        images = cluster.run("ls", f"{scratch}/.jarvice/images").split()
        assert len([file for file in images if file.endswith(".sif")]) == 1

        # Where one account fills it, others use what is there and keep the rest to themselves.
        cluster.run("chmod", "755", f"{scratch}/.jarvice/images")
        other = pushed(cluster, "nintendo/global:2", os.urandom(64))
        assert containers.run("true", image=image, user="mario").code == 0
        assert containers.run("true", image=other, user="mario").code == 0
        assert cluster.run("ls", f"{scratch}/.jarvice/images").split() == images
        assert any("global" in file for file in cached(cluster, containers, "mario"))
    finally:
        cluster.run("rm", "--recursive", "--force", scratch)


@only_cli
def test_somebody_elses_folder_is_no_cache(
    interface: Interface, containers_of: Callable[..., Containers], cluster: Cluster
) -> None:
    scratch = f"{SHARED}/scratch-{os.urandom(4).hex()}"
    folders = [f"{scratch}/.jarvice{part}" for part in ("", "/control", "/jobs")]
    cluster.run("install", "--directory", "--mode=1777", *folders)
    cluster.run("install", "--directory", "--mode=777", "--owner=mario", f"{scratch}/.jarvice/images.kirby")
    containers = containers_of(interface, JARVICE_JOB_SCRATCH_DIR=scratch)
    try:
        job = containers.submit("true")
        done = eventually(lambda: "cannot be kept" in containers.output(job), what="the refusal")
        assert done
        assert cluster.run("ls", "-A", f"{scratch}/.jarvice/images.kirby") == ""
    finally:
        cluster.run("rm", "--recursive", "--force", scratch)
