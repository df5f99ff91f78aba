"""Tasks of native jobs: whose control folder they take, what ends them, which exit code counts."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from pipeline.job import Image, Job
from pipeline.render import Renderer
from pipeline.settings import Settings
from pipeline.transport import Completed
from tests.harness.container_node import ContainerNode
from tests.harness.jobs import native_job

SOMEBODY = 65534
TWO_RANKS = """
pids=()
for SLURM_PROCID in 0 1; do
    export SLURM_PROCID
    "${@: -3}" &
    pids+=($!)
done
worst=0
for pid in "${pids[@]}"; do wait "$pid"; code=$?; [ "$code" -le "$worst" ] || worst=$code; done
exit "$worst"
"""


@pytest.fixture
def node(tmp_path: Path) -> ContainerNode:
    node = ContainerNode(tmp_path)
    (node.home / "app.sif").touch()
    return node


def run(node: ContainerNode, job: Job) -> Completed:
    batch = Renderer(Settings()).batch_script(job)
    (node.home / batch.files.control).mkdir(parents=True, exist_ok=True)
    return node.started(batch)


def job_of(node: ContainerNode, **changes: object) -> Job:
    return native_job(image=Image(str(node.home / "app.sif")), **changes)


def record(node: ContainerNode) -> str:
    """The exit code in the exit record."""
    return (node.home / ".jarvice/control/kirby+hello/exit").read_text().split()[1]


def test_a_control_folder_of_somebody_elses_ends_the_job(node: ContainerNode) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can have folders of others")
    control = node.home / ".jarvice/control/kirby+hello"
    control.mkdir(parents=True, mode=0o777)
    (control / "image").write_text("/evil.sif\n")
    os.chown(control, SOMEBODY, SOMEBODY)
    reply = run(node, job_of(node))
    assert reply.exit_code == 1
    assert reply.stderr.startswith(b"Another user has a job of this name: ")
    assert node.arguments("exec") is None


@pytest.mark.parametrize(("architecture", "runs"), [("amd64", True), ("arm64", False), ("", True)])
def test_a_job_runs_on_nodes_of_its_architecture_only(
    node: ContainerNode, architecture: str, runs: bool
) -> None:
    node.command("uname", "echo x86_64")
    reply = run(node, job_of(node, architecture=architecture))
    told = b"" if runs else b"The job is for arm64, and n1 is amd64.\n"
    assert (reply.exit_code, reply.stderr) == (0 if runs else 1, told)
    assert bool(node.arguments("exec")) is runs


def test_the_machines_own_name_of_its_architecture_will_do(node: ContainerNode) -> None:
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    machine = platform.machine()
    assert run(node, job_of(node, architecture=names.get(machine, machine))).exit_code == 0


def test_a_job_that_is_ended_before_its_command_runs_does_not_run_it(node: ContainerNode) -> None:
    """Slurm signals every process of a task, also while the overlay is made."""
    node.command(
        "apptainer", 'case $2 in overlay) kill -TERM $PPID; exit 143 ;; exec) : >"$HOME/ran" ;; esac'
    )
    assert run(node, job_of(node, overlay_mb=64)).exit_code == 143
    assert not (node.home / "ran").exists()
    assert record(node) == "143"
    assert not list(node.home.glob("**/jarvice-overlay.*"))


def test_a_command_that_runs_is_waited_for_when_the_job_is_ended(node: ContainerNode) -> None:
    node.command("apptainer", "case $1 in --quiet) kill -TERM $PPID; sleep 0.2; exit 5 ;; esac")
    assert run(node, job_of(node)).exit_code == 5


@pytest.mark.parametrize(
    ("ranks", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ('exit "$SLURM_PROCID"', 1),
        ('[ "$SLURM_PROCID" = 0 ] || { sleep 0.3; exit 9; }', 9),  # after the record was written
        (
            '[ "$SLURM_PROCID" = 1 ] && exit 3; '
            'until [ -e "$HOME"/.jarvice/control/*/failed ]; do :; done; exit 200',
            3,
        ),
    ],
)
def test_the_first_rank_that_fails_decides(node: ContainerNode, ranks: str, code: int) -> None:
    node.command("srun", TWO_RANKS)
    node.command("apptainer", f"case $2 in exec) {ranks} ;; esac")
    assert run(node, job_of(node, mpi="pmix", ranks_per_node=2)).exit_code == code
    assert record(node) == str(code)


def test_of_ranks_that_are_killed_with_their_tasks_the_first_that_failed_decides(node: ContainerNode) -> None:
    """srun kills the others' tasks when one fails; the first rank's may leave no record."""
    killed = TWO_RANKS.replace(
        "worst=0",
        'until [ -e "$HOME"/.jarvice/control/*/failed ]; do :; done; kill -KILL "${pids[0]}"; worst=0',
    )
    node.command("srun", killed)
    ranks = '[ "$SLURM_PROCID" = 0 ] || exit 7; exec sleep 1'
    node.command("apptainer", f"case $2 in exec) {ranks} ;; esac")
    assert run(node, job_of(node, mpi="pmix", ranks_per_node=2)).exit_code == 7
    assert record(node) == "7"


def test_a_rank_that_is_killed_with_its_task_is_known_by_srun(node: ContainerNode) -> None:
    killed = TWO_RANKS.replace(
        "worst=0", 'until [ -e "$HOME/up" ]; do :; done; kill -KILL "${pids[1]}"; worst=0'
    )
    node.command("srun", killed)
    ranks = '[ "$SLURM_PROCID" = 1 ] || exit 0; : >"$HOME/up"; exec sleep 1'
    node.command("apptainer", f"case $2 in exec) {ranks} ;; esac")
    assert run(node, job_of(node, mpi="pmix", ranks_per_node=2)).exit_code == 137
    assert record(node) == "137"
