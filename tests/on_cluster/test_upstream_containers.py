"""Containers as the portal's script runs them: the example that stands in for it, with a site's own lines."""

from __future__ import annotations

import json
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.golden.cases import EXAMPLES
from tests.harness.cluster import Cluster
from tests.harness.forms import form
from tests.harness.interface import Interface
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually
from tests.on_cluster.ways import only_cli

Site = Callable[..., Service]
FormOf = Callable[..., dict[str, Any]]

REGISTRY = "head:5443"
INIT, APP = "nintendo/initv2:test", "nintendo/busybox:1"
COMMAND = """
echo "application: $(cat /etc/motd)" && : >/written && [ ! -e /etc/is-init ] || exit 3
env | grep -e DOCKER -e PASSWORD
ls -d /tmp/jarvice-example.*
true
"""


def base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")


@pytest.fixture(scope="module", autouse=True)
def images(cluster: Cluster) -> None:
    if cluster.variant == "bookworm":
        pytest.skip("bookworm has no apptainer")
    name, tag = INIT.split(":")
    cluster.push_image(name, tag, {"etc/is-init": b"yes"})


@pytest.fixture
def site(cluster: Cluster, own_service: Callable[..., Service]) -> Site:
    """Starts a service whose init images come from the cluster's registry."""
    registry = cluster.info["registry"]

    def start(**changed: str) -> Service:
        settings = {
            "JARVICE_SYSTEM_REGISTRY": REGISTRY,
            "JARVICE_SYSTEM_REPO_BASE": INIT.rpartition("/")[0],
            "JARVICE_IMAGES_TAG": INIT.rpartition(":")[2],
            "JARVICE_DOCKER_USERNAME": base64(registry["user"]),
            "JARVICE_DOCKER_PASSWORD": base64(registry["password"]),
            "JARVICE_SINGULARITY_OVERLAY_SIZE": "64",
        }
        return own_service(**{**settings, **changed})

    return start


@pytest.fixture
def form_of(cluster: Cluster) -> FormOf:
    """Makes the example's form with lines that are this cluster's."""
    registry = cluster.info["registry"]

    def make(command: str, *, password: str = registry["password"], **fields: Any) -> dict[str, Any]:
        login = {"server": REGISTRY, "username": registry["user"], "password": password}
        secret = json.dumps(login, separators=(",", ":")).replace("{", "{{").replace("}", "}}")
        text = (EXAMPLES / "scripts" / "containers.sh").read_text(encoding="utf-8")
        lines = {
            "JOBOBJ_REPO": f"{REGISTRY}/{APP}",
            "JOBOBJ_DOCKER_SECRET": secret,
            "JARVICE_CMD": base64(command),
        }
        for key, value in lines.items():
            text, count = re.subn(rf"^{key}=.*$", f"{key}={value}", text, count=1, flags=re.MULTILINE)
            assert count == 1
        return form(text, nodes=2, **fields)

    return make


@pytest.fixture
def global_scratch(cluster: Cluster) -> Iterator[str]:
    """A scratch folder for images, as the guide has it."""
    folder = f"/shared/images-{secrets.token_hex(4)}"
    cluster.run("install", "--directory", "--mode=1777", f"{folder}/.jarvice", f"{folder}/.jarvice/images")
    yield folder
    cluster.run("rm", "--recursive", folder)


def left_in_tmp(cluster: Cluster, job: Sent) -> str:
    """What the nodes' temporary folders hold of the job's overlays."""
    look = ("find", "/tmp", "-path", f"*/jarvice-example.{job.job_id}.*")
    return "".join(cluster.run(*look, node=node) for node in ("n1", "n2", "n3"))


def test_both_images_run_on_two_nodes(
    site: Site, form_of: FormOf, interface: Interface, cluster: Cluster
) -> None:
    service = site()
    job = service.submit(form_of(COMMAND))
    ended = service.exit_of(job)
    lines = ended.output.splitlines()
    assert (ended.code, ended.state) == (0, "COMPLETED"), ended.output
    pulled = [line for line in lines if "was pulled" in line]
    assert [line.split()[1] for line in pulled] == [
        f"docker://{REGISTRY}/{INIT}",
        f"docker://{REGISTRY}/{APP}",
    ]
    assert all("was pulled with its login in" in line for line in pulled)
    nodes = {line.partition(":")[0] for line in lines if "The init image runs as kirby" in line}
    assert len(nodes) == 2
    assert lines.count("application: test image") == 1
    assert not [line for line in lines if "DOCKER" in line or "PASSWORD" in line], (
        "logins are not for containers"
    )
    assert [line for line in lines if line.startswith(f"/tmp/jarvice-example.{job.job_id}.")], "the overlay"
    assert lines[-1] == "JARVICE_CMD_SUCCESS"
    assert left_in_tmp(cluster, job) == ""
    assert not interface.files("kirby", job.name)
    # An id is a part of many other names, such as those with a time in them.
    of_job = re.compile(rf"(?:^|\.){job.job_id}$")
    assert not [file for file in interface.files("kirby", job.job_id) if of_job.search(file.name)], (
        "the images"
    )


def test_an_application_that_fails_gives_1(site: Site, form_of: FormOf, cluster: Cluster) -> None:
    service = site()
    job = service.submit(form_of("exit 7"))
    ended = service.exit_of(job)
    assert (ended.code, ended.state) == (1, "FAILED"), ended.output
    assert "The application ended with exit code 7." in ended.output
    assert "JARVICE_CMD_FAILURE" in ended.output.splitlines(), "and srun's words on ending the other task"
    assert left_in_tmp(cluster, job) == ""


def test_a_wrong_login_gives_1_and_a_clear_line(site: Site, form_of: FormOf) -> None:
    service = site()
    ended = service.exit_of(service.submit(form_of(COMMAND, password="not-the-password")))
    assert (ended.code, ended.state) == (1, "FAILED"), ended.output
    assert f"The image docker://{REGISTRY}/{APP} cannot be pulled with its login." in ended.output
    assert re.search("FATAL: .*(authentication required|unauthorized)", ended.output), "the reason above it"
    assert "application" not in ended.output


def test_an_image_of_a_global_registry_is_pulled_once_for_all_users(
    site: Site, form_of: FormOf, global_scratch: str
) -> None:
    service = site(
        JARVICE_JOB_GLOBAL_REGISTRIES=REGISTRY,
        JARVICE_JOB_GLOBAL_SCRATCH_DIR=global_scratch,
        JARVICE_SINGULARITY_OVERLAY_SIZE="0",
        JARVICE_SINGULARITY_VERBOSE="true",
    )
    for user, pulls in (("kirby", 1), ("mario", 0)):
        ended = service.exit_of(service.submit(form_of(COMMAND, user=user)))
        assert ended.code == 0, ended.output
        assert ended.output.count(f"{APP} was pulled with its login") == pulls
        assert "application: test image" in ended.output.splitlines()


@only_cli  # slurmrestd takes a batch script and nothing beside it
def test_no_login_is_in_what_slurm_keeps_of_the_job(
    site: Site, form_of: FormOf, interface: Interface, cluster: Cluster
) -> None:
    service, password = site(), cluster.info["registry"]["password"]
    job = service.submit(form_of(COMMAND, held=True))
    control = interface.control(job.name)
    batch_script = cluster.run("scontrol", "write", "batch_script", job.job_id, "-")
    assert cluster.run("stat", "--format=%a %U", f"{control}/secrets") == "600 kirby\n"
    assert password in cluster.run("cat", f"{control}/secrets")

    assert service.post("/release", job.ref).json() is True
    command = ("squeue", "--noheader", "--states=all", f"--jobs={job.job_id}", "--format=%T")
    eventually(lambda: cluster.run(*command).strip() == "COMPLETED", what="the job's end")
    assert {"secrets", "job.sh"}.isdisjoint(cluster.run("ls", control).split())
    stored_script = cluster.run("sacct", f"--jobs={job.job_id}", "--batch-script")
    for script in (batch_script, stored_script):
        assert f"JOBOBJ_REPO={REGISTRY}/{APP}" in script
        assert password not in script
        assert base64(password) not in script
    assert service.exit_of(job).code == 0
