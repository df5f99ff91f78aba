"""The downstream as a site starts it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.service import MAIN, Service

START = """#!/usr/bin/env bash

export JARVICE_SCHED_LOGLEVEL="10"

export JARVICE_SYSTEM_REGISTRY="us-docker.pkg.dev"
export JARVICE_SYSTEM_REPO_BASE="jarvice-system/images"
export JARVICE_IMAGES_TAG="jarvice-master"

export JARVICE_DOCKER_USERNAME="X2pzb25fa2V5"
export JARVICE_DOCKER_PASSWORD="WFhYWFhYWFhYWFhY"

# Executor - Singularity variables
export JARVICE_BAREMETAL_EXECUTOR="singularity"
export JARVICE_SINGULARITY_OVERLAY_SIZE="600"
export JARVICE_SINGULARITY_VERBOSE="true"

# Connector - Slurm variables
export JARVICE_BAREMETAL_CONNECTOR="{connector}"
export JARVICE_SLURM_INTERFACE="cli"
export JARVICE_SLURM_CLUSTER_ADDR="{host}"
export JARVICE_SLURM_CLUSTER_PORT="{port}"
export JARVICE_SLURM_SSH_USER=$(echo amFydmljZQ== | base64 -d)
export JARVICE_SLURM_SSH_PKEY={key}

python3 main.py
"""


@pytest.mark.parametrize(
    ("connector", "key"),
    [
        ("slurm", "$(echo {base64} | base64 -d)"),
        ("slurm", "{base64}"),
        ("connectors.slurm.connector", '$(echo "{base64}" | base64 -d)'),
    ],
    ids=["key decoded", "key in base64", "name of an older start script"],
)
def test_a_sites_start_script_runs_jobs(
    connector: str,
    key: str,
    cluster: Cluster,
    start_service: Callable[..., Service],
    tmp_path: Path,
) -> None:
    encoded = b64encode(cluster.key("jarvice").encode()).decode()
    (tmp_path / "start.sh").write_text(
        START.format(connector=connector, key=key.format(base64=encoded), **cluster.info["ssh"]),
        encoding="ascii",
    )
    (tmp_path / "main.py").symlink_to(MAIN)
    cluster.write_mapping(tmp_path)
    service = start_service({}, tmp_path, command=("bash", "start.sh"))
    job = service.submit(form(script('echo "$JARVICE_INIT_IMAGE for $JOB_LOCAL_USER"'), user="mario"))
    ended = service.exit_of(job)
    assert ended.code == 0
    assert ended.output.strip() == (
        "docker://us-docker.pkg.dev/jarvice-system/images/initv2:jarvice-master for mario"
    )
