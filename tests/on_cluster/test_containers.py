"""Native jobs in real containers: the image, the command, what it can write, its end."""

from __future__ import annotations

import contextlib
import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.containers import BUSYBOX, REGISTRY, Containers
from tests.harness.interface import Interface
from tests.harness.waiting import eventually
from tests.on_cluster.ways import only_cli

NASTY = [
    "", " ", "a b", "$(touch /tmp/canary)", "`touch /tmp/canary`", "$HOME", "${x}", "'", '"', "\\", "\\n",
    "*", "~", "a\nb", "\t", "--", "-e", "!x", "x;y", "a&b", "|", "<>", "#", "%", "é", "\x01", "{{ 7 }}",
    "END_OF_SCRIPT", ",", ":",
]  # fmt: skip


NODES = ("n1", "n2", "n3")


def mounts_on(cluster: Cluster, node: str) -> set[str]:
    """What serves file systems of containers on a node: a line for each process, with its number."""
    lines = cluster.run("ps", "-eo", "pid,comm", node=node).splitlines()
    return {f"{node}: {line}" for line in lines if "fuse" in line}


def overlays(cluster: Cluster, job_id: str) -> list[str]:
    """What is left of a job's overlays on the nodes."""
    found = [cluster.run("find", "/tmp", "-path", f"*overlay.{job_id}.*", node=n) for n in NODES]
    return [line for text in found for line in text.splitlines()]


def processes() -> Iterator[bytes]:
    """Command line and environment of every process of this machine, the nodes' among them."""
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):  # it has ended
                yield (folder / name).read_bytes()


def test_a_command_runs_as_its_user_and_its_exit_code_is_the_jobs(containers: Containers) -> None:
    ended = containers.run("sh", "-c", "echo I am $(id -u) in $(cat /etc/motd); exit 7")
    assert (ended.state, ended.code) == ("FAILED", 7)
    assert "I am 2002 in test image" in ended.output
    assert containers.run("true").state == "COMPLETED"


def test_arguments_and_environment_arrive_as_they_are(containers: Containers, cluster: Cluster) -> None:
    environment = {f"V{number}": text for number, text in enumerate(NASTY)}
    variables = " ".join(f'"${name}"' for name in environment)
    show = f"printf '%s\\0' \"$@\" {variables} | base64 -w 0"
    ended = containers.run("sh", "-c", show, "x", *NASTY, environment=environment)
    assert ended.code == 0, ended.output
    texts = b64decode(ended.output.strip()).decode("utf-8").split("\0")
    assert texts == [*NASTY, *NASTY, ""]
    for node in ("n1", "n2", "n3"):
        assert "canary" not in cluster.run("ls", "/tmp", node=node)


def test_the_container_has_no_variable_of_the_node(containers: Containers) -> None:
    ended = containers.run("env", nodes=2)
    names = {line.partition("=")[0] for line in ended.output.splitlines()}
    assert {"SLURM_JOB_ID", "JOB_NNODES", "PROCESS_NODENAME", "IMAGE_VAR"} <= names
    assert not {name for name in names if name.startswith("JARVICE_") or "PASSWORD" in name or "JWT" in name}
    assert "SSH_CONNECTION" not in names


def test_a_script_gets_its_arguments_where_the_job_says(containers: Containers) -> None:
    ended = containers.run(
        "one arg", script='echo "$# <$1> in $(pwd)"; ls /data\n', working_dir="/work",
        mounts=[{"source": "/opt/cluster", "target": "/data", "read_only": True}],
    )  # fmt: skip
    assert ended.code == 0, ended.output
    assert "1 <one arg> in /work" in ended.output
    assert "daemon.sh" in ended.output


def test_a_login_that_is_wrong_or_missing_is_one_clear_line(containers: Containers) -> None:
    for credentials, reason in (
        ("wrong", "its registry refuses the login"),
        (None, "the job brings no login"),
    ):
        ended = containers.run("true", credentials=credentials)
        assert (ended.state, ended.code) == ("FAILED", 1)
        lines = [line for line in ended.output.splitlines() if "unauthorised" in line]
        assert len(lines) == 1
        assert lines[0].startswith(f"The image {BUSYBOX} cannot be pulled: unauthorised, ")
        assert reason in lines[0]


def test_an_image_that_is_not_there_is_one_clear_line(containers: Containers) -> None:
    ended = containers.run("true", image=f"{REGISTRY}/nintendo/nosuch:1")
    assert ended.code == 1
    assert f"The image {REGISTRY}/nintendo/nosuch:1 was not found in its registry." in ended.output
    ended = containers.run("true", image="/shared/nosuch.sif", credentials=None)
    assert ended.code == 1
    assert "The image /shared/nosuch.sif is not there, or cannot be read." in ended.output


def test_an_overlay_holds_its_megabytes_and_is_gone_after(containers: Containers, cluster: Cluster) -> None:
    job = containers.submit(
        script="dd if=/dev/zero of=/big bs=1M count=40 2>/dev/null; wc -c /big; echo up; read x </data/go",
        overlay_mb=64,
        mounts=[{"source": "/shared", "target": "/data"}],
    )
    gate = Path(cluster.info["shared"], "go")
    cluster.run("bash", "-c", "rm -f /shared/go; mkfifo --mode=666 /shared/go")
    try:
        containers.await_output(job, "up")
        # Mounted and without a name: its space goes with the container, whatever ends it.
        assert overlays(cluster, job.job_id) == []
        gate.write_text("on\n")
        ended = containers.end_of(job)
    finally:
        gate.unlink()
    assert ended.code == 0, ended.output
    assert f"{40 * 1024 * 1024} /big" in ended.output
    assert overlays(cluster, job.job_id) == []


def test_a_full_overlay_gives_the_applications_own_error(containers: Containers, cluster: Cluster) -> None:
    fill = "dd if=/dev/zero of=/big bs=1M count=100 || exit 9"
    job = containers.submit("sh", "-c", fill, overlay_mb=64)
    ended = containers.end_of(job)
    assert ended.code == 9
    assert "No space left on device" in ended.output
    assert overlays(cluster, job.job_id) == []


def test_without_an_overlay_there_is_a_tmpfs(containers: Containers) -> None:
    ended = containers.run("sh", "-c", "echo text >/file && cat /file && cat /proc/mounts", overlay_mb=0)
    assert ended.code == 0, ended.output
    assert "text" in ended.output.splitlines()


def test_an_overlay_that_does_not_fit_is_one_clear_line(containers: Containers) -> None:
    ended = containers.run("true", overlay_mb=10_000_000)
    assert ended.code == 1
    assert "An overlay of 10000000 MB does not fit: /tmp on n" in ended.output


ENDS_IN_ITS_TIME = """
end() {
    for n in 1 2; do
        sleep 0.5
        ls / >/dev/null && echo x >/w$n && echo still $n
    done
    exit 3
}
trap end TERM
echo up
while :; do sleep 0.2; done
"""


@pytest.mark.parametrize("overlay_mb", [0, 64])
def test_terminate_lets_the_command_end_in_its_own_time(
    containers: Containers, cluster: Cluster, overlay_mb: int
) -> None:
    job = containers.submit(script=ENDS_IN_ITS_TIME, overlay_mb=overlay_mb)
    containers.await_output(job, "up")
    containers.terminate(job)
    ended = containers.end_of(job)
    assert ended.state == "CANCELLED"
    eventually(lambda: "still 2" in containers.output(job), what="the command's last words")
    record = eventually(
        lambda: cluster.run("bash", "-c", f"cat {job.control}/exit 2>/dev/null || true"),
        what="the exit record",
    )
    assert record.split()[1] == "3", "the exit code that the command chose"
    eventually(lambda: overlays(cluster, job.job_id) == [], what="the overlay's end")


def test_a_command_that_will_not_end_is_killed_and_leaves_no_overlay(
    containers: Containers, cluster: Cluster
) -> None:
    before = set().union(*(mounts_on(cluster, node) for node in NODES))
    job = containers.submit(script="trap '' TERM\necho up\nwhile :; do sleep 0.2; done\n", overlay_mb=64)
    status = containers.await_output(job, "up")
    containers.terminate(job)
    assert containers.end_of(job).state == "CANCELLED"
    [node] = status.nodes
    eventually(lambda: not mounts_on(cluster, node) - before, what="the end of the container's mounts")
    assert overlays(cluster, job.job_id) == []


def test_no_singularity_is_one_clear_line(
    interface: Interface, containers_of: Callable[..., Containers], tmp_path: Path
) -> None:
    template = tmp_path / "singularity" / "runtime.sh.j2"
    template.parent.mkdir()
    template.write_text(
        '{% extends "shipped/singularity/runtime.sh.j2" %}'
        "{% block runtime %}\nPATH=/nowhere\n{{ super() }}{% endblock %}\n"
    )
    ended = containers_of(interface, JARVICE_DOWNSTREAM_TEMPLATES=str(tmp_path)).run("true")
    assert (ended.state, ended.code) == ("FAILED", 1)
    lines = [line for line in ended.output.splitlines() if "singularity" in line]
    assert len(lines) == 1
    assert lines[0].startswith("The job's container cannot run: n")
    assert lines[0].endswith(" has neither apptainer nor singularity in its PATH.")


@only_cli
def test_gpus_are_passed_on(containers: Containers) -> None:
    ended = containers.run("sh", "-c", "echo devices $CUDA_VISIBLE_DEVICES", gpus=1, partition="gpu")
    assert ended.code == 0, ended.output
    assert "devices 0" in ended.output or "devices 1" in ended.output


def test_nothing_secret_is_left_when_the_command_runs(containers: Containers, cluster: Cluster) -> None:
    password = cluster.info["registry"]["password"]
    job = containers.submit("sh", "-c", "echo up; env; sleep 600", environment={"TIME": "1"})
    containers.await_output(job, "up")
    kept = cluster.run("bash", "-c", f"ls {job.control}; grep -rl -e {password} {job.control} || true")
    assert "secrets" not in kept
    assert password not in cluster.run("bash", "-c", f"cat {job.control}/* 2>/dev/null || true")
    seen = list(processes())
    assert any(b"sleep" in text for text in seen), "the command is among them"
    assert not [text for text in seen if password.encode() in text]
    containers.terminate(job)
    assert containers.end_of(job).state == "CANCELLED"


def test_the_command_is_told_in_json_what_it_is(containers: Containers) -> None:
    """A command with JSON in it, as portals like to have."""
    document = json.dumps({"text": 'it\'s "here"', "list": [1, None]})
    ended = containers.run("printf", "%s", document)
    assert json.loads(ended.output) == json.loads(document)
