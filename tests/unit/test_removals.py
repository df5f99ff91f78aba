"""What a job removes at its end, though Slurm signals every process of it, and more than once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.job import Image
from pipeline.prepare import Preparer
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.shipped import folder
from pipeline.transport import Completed
from tests.harness.container_node import ContainerNode
from tests.harness.jobs import native_job

SIGNALLED_AGAIN = "kill -TERM $PPID $$ # what removes, and what has it removed\nexec /usr/bin/rm"


@pytest.fixture
def node(tmp_path: Path) -> ContainerNode:
    node = ContainerNode(tmp_path)
    node.environment["SLURM_NNODES"] = "1"
    (node.home / "tmp").mkdir()
    return node


def ended_while_it_removes(node: ContainerNode, what: str, batch: BatchScript) -> Completed:
    """Run a batch script; a second SIGTERM comes as soon as it removes this."""
    node.command("rm", f'case $* in *{what}*) {SIGNALLED_AGAIN} "$@" ;; esac\nexec /usr/bin/rm "$@"')
    node.sent(batch)
    done = node.started(batch)
    assert [call for call in node.calls("rm") if what in call], "nothing was signalled"
    return done


def overlay_settings(node: ContainerNode) -> Settings:
    return Settings(singularity_tmpdir=str(node.home / "tmp"))


def test_an_overlay(node: ContainerNode) -> None:
    image = node.home / "app.sif"
    image.touch()
    job = native_job(image=Image(str(image)), overlay_mb=1)
    batch = Renderer(overlay_settings(node)).batch_script(job)
    assert ended_while_it_removes(node, "jarvice-overlay", batch).exit_code == 0
    assert node.arguments("overlay") is not None
    assert not list((node.home / "tmp").iterdir())


def test_scripts_with_logins(node: ContainerNode) -> None:
    image = node.home / "app.sif"
    image.touch()
    batch = Renderer(Settings()).batch_script(native_job(image=Image(str(image))))
    assert ended_while_it_removes(node, "task.sh", batch).exit_code == 0
    control = node.home / batch.files.control
    assert not [file for file in ("job.sh", "task.sh") if (control / file).exists()]


def test_an_overlay_of_the_upstreams_script(node: ContainerNode) -> None:
    form = json.loads((folder("examples") / "upstream/containers.json").read_text())
    preparer = Preparer(overlay_settings(node))
    batch = preparer.render(preparer.check({**form, "nodes": 1}))
    done = ended_while_it_removes(node, "jarvice-example", batch)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, b"JARVICE_CMD_SUCCESS"), done.complaint()
    assert node.arguments("overlay") is not None
    assert not list((node.home / "tmp").iterdir())
