"""Every version of slurmrestd's API that a cluster serves, and those that it does not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.slurm.api_versions import API_VERSIONS
from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import http
from tests.harness.service import Service

TWO_NODES = script(
    "exit 3",
    devices=["partition=gpu", "exclusive=False", 'sbatch_comment=it\'s "so"'],
    JOBOBJ_WALLTIME="02:03:00",
    JOBOBJ_RAM=3,
    JOBOBJ_GPUS=1,
    JOBOBJ_LICENSES="feat:1",
)


@pytest.fixture
def spoken(cluster: Cluster) -> list[str]:
    """The versions that both sides know, newest first."""
    return [version for version in API_VERSIONS if version in cluster.api_versions]


@pytest.fixture
def start(cluster: Cluster, start_service: Callable[..., Service]) -> Callable[[str], Service]:
    """Starts a service that is told a version."""
    return lambda version: start_service(
        {**http(cluster).settings, "JARVICE_SLURMRESTD_API_VERSION": version}
    )


def test_each_version_runs_a_job_as_it_was_asked_for(
    spoken: list[str], start: Callable[[str], Service]
) -> None:
    services = {version: start(version) for version in spoken}
    with ThreadPoolExecutor() as pool:
        seen = dict(zip(spoken, pool.map(lambda version: _run(services[version]), spoken), strict=True))
    for version, words in seen.items():
        assert words == {
            "code": 1,
            "state": "FAILED",
            "JobState": "FAILED",
            "UserId": "mario",
            "Partition": "gpu",
            "NodeList": "n[1-2]",
            "NumNodes": "2",
            "TimeLimit": "02:03:00",
            "MinMemoryNode": "3G",
            "TresPerNode": "gres/gpu:1",
            "Licenses": "feat:1",
            "Comment": 'it\'s "so"',
        }, version
        assert f"API {version}\n" in services[version].log()


def _run(service: Service) -> dict[str, Any]:
    """How the job ended, and what slurmctld says of it."""
    job = service.submit(form(TWO_NODES, nodes=2, user="mario"))
    end = service.exit_of(job)
    said = service.post("/events", job.ref).json()
    words = dict(word.split("=", 1) for line in said.splitlines() for word in line.split() if "=" in word)
    return {
        "code": end.code,
        "state": end.state,
        "JobState": words["JobState"],
        "UserId": words["UserId"].partition("(")[0],
        "Partition": words["Partition"],
        "NodeList": words["NodeList"],
        "NumNodes": words["NumNodes"],
        "TimeLimit": words["TimeLimit"],
        "MinMemoryNode": words["MinMemoryNode"],
        "TresPerNode": words["TresPerNode"].replace("gres:", "gres/"),  # the latter since 22.05
        "Licenses": words["Licenses"],
        "Comment": said.partition("Comment=")[2].partition("\n")[0].strip(),
    }


@pytest.mark.parametrize("auto", ["auto", ""])
def test_auto_is_the_newest_that_both_know(
    auto: str, spoken: list[str], cluster: Cluster, start: Callable[[str], Service]
) -> None:
    service = start(auto)
    assert f"slurmrestd at {cluster.inside_url}: API {spoken[0]}\n" in service.log()


def test_a_version_that_is_not_there_is_told_with_those_that_are(
    spoken: list[str], cluster: Cluster, start: Callable[[str], Service]
) -> None:
    version = "v0.0.39"  # spoken by us, and by none of Debian's slurmrestd
    service = start(version)
    told = (
        f"JARVICE_SLURMRESTD_API_VERSION: slurmrestd at {cluster.inside_url} does not serve {version}; "
        f"of those that this downstream speaks it serves {', '.join(spoken)}"
    )
    assert f"the cluster cannot be used now: {told}" in service.log()
    unwell = service.get("/gc")
    assert (unwell.status_code, unwell.json()) == (500, {"status": "BAD", "error": told})
    refused = service.post("/submit", form(script("echo")))
    assert (refused.status_code, refused.json()["error"]) == (503, told)
