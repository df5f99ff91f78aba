"""The same job through cli and http asks Slurm for the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.slurm.api_versions import API_VERSIONS
from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import cli, http
from tests.harness.service import Sent, Service

_NOT_ASKED_FOR = {
    "JobId", "SLUID", "SubmitTime", "EligibleTime", "AccrueTime", "StartTime", "EndTime", "LastSchedEval",
    "Priority", "Scheduler", "AllocNode:Sid", "SubmitLine", "Command",
}  # fmt: skip
"""What Slurm gives each job of its own, and where the job was sent from."""

JOBS: dict[str, tuple[int, dict[str, Any]]] = {
    "as small as can be": (1, {}),
    "everything a form can ask for": (
        2,
        {
            "JARVICE_CPU_CORES": 4,
            "JOBOBJ_RAM": 4,
            "JOBOBJ_GPUS": 1,
            "JOBOBJ_WALLTIME": "01:30:30",
            "JOBOBJ_LICENSES": "feat:2,feat3:1",
            "devices": ["partition=gpu"],
        },
    ),
    "shared nodes": (2, {"JARVICE_CPU_CORES": 2, "JOBOBJ_RAM": 1}),
    "texts": (
        1,
        {
            "devices": [
                "exclusive=False", "sbatch_account=nintendo",
                'sbatch_comment=a b "c\' é', "sbatch_wckey=x", "sbatch_dependency=singleton",
            ]
        },
    ),
    "sizes": (
        1,
        {
            "devices": [
                "exclusive=False", "sbatch_mem-per-cpu=100M", "sbatch_mincpus=3", "sbatch_cpus-per-task=2",
                "sbatch_threads-per-core=1", "sbatch_nodelist=n2",
            ]
        },
    ),
    "times": (
        1,
        {
            "devices": [
                "exclusive=False", "sbatch_time=0-02:03:04", "sbatch_time-min=5",
                "sbatch_begin=2037-01-02T03:04:05", "sbatch_nice=50", "sbatch_signal=USR1@120",
            ]
        },
    ),
    "gpus in all": (1, {"devices": ["exclusive=False", "sbatch_gpus=2", "sbatch_cpus-per-gpu=1"]}),
    "generic resources": (1, {"devices": ["exclusive=False", "sbatch_gres=gpu:2", "sbatch_exclude=n1"]}),
    "switches": (
        1,
        {
            "devices": [
                "exclusive=False", "sbatch_no-requeue=", "sbatch_mail-type=END,FAIL",
                "sbatch_mail-user=m@example.com", "sbatch_kill-on-invalid-dep=yes", "sbatch_no-kill=",
                "sbatch_use-min-nodes=", "sbatch_open-mode=append",
            ]
        },
    ),
}  # fmt: skip
"""Nodes, and the words of a script."""


@pytest.fixture(scope="module")
def services(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    """One that uses sbatch, and one for each version of the API that this slurmrestd serves."""
    # Files in the home folder, as with sbatch, so that the paths are the same too.
    slurmrestd = {**http(cluster).settings, "JARVICE_JOB_SCRATCH_DIR": ""}
    ways = {"sbatch": cli(cluster).settings}
    for version in set(API_VERSIONS) & set(cluster.api_versions):
        ways[version] = {**slurmrestd, "JARVICE_SLURMRESTD_API_VERSION": version}
    started = {}
    for way, settings in ways.items():
        folder = tmp_path_factory.mktemp(way)
        cluster.write_mapping(folder)
        started[way] = Service(folder, settings).start()
    yield started
    for service in started.values():
        service.stop()


@pytest.mark.parametrize("name", JOBS)
def test_both_interfaces_ask_slurm_for_the_same(
    name: str, services: dict[str, Service], cluster: Cluster
) -> None:
    nodes, words = JOBS[name]
    sent = {
        way: service.submit(form(script("echo", **words), nodes=nodes, held=True))
        for way, service in services.items()
    }
    said = {way: _said(cluster, job) for way, job in sent.items()}
    cluster.run("scancel", *(job.job_id for job in sent.values()))
    expected = said.pop("sbatch")
    assert expected["WorkDir"] == "/home/kirby"
    for version, found in said.items():
        if version in ("v0.0.40", "v0.0.41"):
            # These have no field for it, and slurmrestd of 24.11 puts 0 in its place.
            found.pop("OOMKillStep", None)
        if "Comment" not in expected:  # slurmrestd's jobs tell the digest of their content in it
            assert found.pop("Comment").startswith("jarvice:")
        assert found == expected, version


def _said(cluster: Cluster, job: Sent) -> dict[str, str]:
    """What Slurm says of a job, without its name."""
    text = cluster.run("scontrol", "show", "job", "--details", job.job_id).replace(job.name, "NAME")
    fields: dict[str, str] = {}
    for line in (line.strip() for line in text.splitlines()):
        whole_line = line.startswith(("Comment=", "StdOut=", "StdErr="))
        words = [line] if whole_line else re.findall(r"\S+?=.*?(?= [A-Za-z/:]+=|$)", line)
        fields |= dict(word.split("=", 1) for word in words)
    return {field: value for field, value in fields.items() if field not in _NOT_ASKED_FOR}
