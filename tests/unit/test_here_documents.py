"""The upstream's script reaches the node byte for byte: the whole batch script is run for it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.render import Renderer
from pipeline.settings import Settings
from tests.harness.bash import Sandbox
from tests.harness.jobs import NAME, job
from tests.harness.text import HOSTILE_TEXT

RENDERER = Renderer(Settings())

END_MARKS = st.lists(
    st.sampled_from(["END_OF_SCRIPT", "END_OF_SCRIPT_1", "END_OF_TASK", "", "<CR>", "<CR1>\r", "\r", "x"])
).map("\n".join)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("node"))
    sandbox.environment.update(SLURM_JOB_ID="7", SLURM_JOB_NAME="jarvice_x")
    sandbox.command("squeue", "exit 0")
    sandbox.command("srun", 'cp "${@: -1}"/{job,task}.sh "$HOME"; exit 5')
    return sandbox


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_TEXT | END_MARKS)
@example("")
@example("\n")
@example("no line break at the end")
@example("many at the end\n\n\n")
@example("a\r\nb\r\n")
@example("lone \r in a line")
@example("\\\nEOF\n$(touch x)\n`id`\n")
@example("\x01\x02\x7f\x1b")
@example("long " * 100_000)
def test_any_script_arrives_byte_for_byte(sandbox: Sandbox, text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    batch = RENDERER.batch_script(job(text=doubled))
    assert "\r" not in batch.text
    reply = sandbox.run("rm -rf .jarvice; bash -s", batch.text.encode("utf-8"))
    assert (reply.exit_code, reply.stdout, reply.stderr) == (5, b"", b"")
    assert sandbox.home.joinpath("job.sh").read_bytes() == text.encode("utf-8")


def test_the_task_script_arrives_as_it_was_rendered(sandbox: Sandbox) -> None:
    sandbox.run("rm -rf .jarvice; bash -s", RENDERER.batch_script(job()).text.encode("utf-8"))
    task = sandbox.home.joinpath("task.sh").read_text(encoding="utf-8")
    assert task.startswith("#!/bin/bash\n")
    assert sandbox.run("bash -n", task.encode("utf-8")).exit_code == 0


def test_only_the_owner_gets_at_the_scripts_and_only_while_the_job_runs(sandbox: Sandbox) -> None:
    sandbox.run("rm -rf .jarvice")
    sandbox.run("umask 000; bash -s", RENDERER.batch_script(job()).text.encode("utf-8"))
    control = sandbox.home / ".jarvice" / "control" / NAME
    assert control.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in control.iterdir()) == ["started"]
