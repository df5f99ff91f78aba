"""No value of a job can become a command: canaries in every field, run through real bash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from pipeline.errors import DownstreamError, TemplateFault
from pipeline.job import Credentials, Image, Job, Resources
from pipeline.render import Renderer
from pipeline.render.context import parameters
from pipeline.render.sealing import Seal
from pipeline.settings import Settings
from tests.harness.bash import Sandbox
from tests.harness.jobs import JOB, job, script_of
from tests.harness.text import HOSTILE_TEXT


class Open(Seal):
    """Hides nothing."""

    def hide(self, secret: str) -> str:
        return secret


CANARIES = [
    "$(touch canary)",
    "`touch canary`",
    "'; touch canary; '",
    '"; touch canary; "',
    "\ntouch canary\n",
    "x\n#SBATCH --uid=0\ntouch canary",
    "&& touch canary #",
    "{{ 7 * 7 }}{% set x = 1 %}",
    "END_OF_SCRIPT\ntouch canary",
    "\\",
    "'",
]
SCRIPT = "#!/bin/bash\n{DOWNSTREAM_PARAMETERS}\nenv -0\n"


def text_fields(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every field of a job that holds text."""
    for declared in fields(value):
        part = getattr(value, declared.name)
        if is_dataclass(part):
            yield from text_fields(part, (*path, declared.name))
        elif isinstance(part, str) and declared.name not in ("text", "bearer"):
            yield (*path, declared.name)


def with_text(value: Any, path: tuple[str, ...], text: str) -> Any:
    """The value with another text at that path."""
    head, *rest = path
    part = with_text(getattr(value, head), tuple(rest), text) if rest else text
    return replace(value, **{head: part})


@pytest.fixture
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A node whose srun runs the upstream's script, once."""
    sandbox = Sandbox(tmp_path_factory.mktemp("node"))
    sandbox.environment.update(SLURM_JOB_ID="7", SLURM_JOB_NAME="jarvice_x")
    sandbox.command("squeue", "exit 0")
    sandbox.command("srun", 'exec bash "$(dirname "${@: -2:1}")/job.sh"')
    return sandbox


@pytest.mark.parametrize("path", list(text_fields(JOB)), ids=".".join)
def test_no_text_of_a_job_is_ever_run(sandbox: Sandbox, path: tuple[str, ...]) -> None:
    for canary in CANARIES:
        _run_without_harm(sandbox, with_text(job(text=SCRIPT), path, canary), canary)


@pytest.mark.parametrize("canary", CANARIES)
def test_no_sbatch_option_of_a_job_is_ever_run(sandbox: Sandbox, canary: str) -> None:
    asked = replace(JOB.resources, sbatch_options={"comment": canary})
    _run_without_harm(sandbox, job(text=SCRIPT, resources=asked), canary)


def _run_without_harm(sandbox: Sandbox, job: Job, canary: str) -> None:
    try:
        batch = Renderer(Settings(), secrets_inside=True).batch_script(job)
    except DownstreamError:
        assert "\n" in canary  # a directive can hold no line break, so the job is refused
        return
    assert sandbox.run("bash -n", batch.text.encode("utf-8")).exit_code == 0
    reply = sandbox.run("rm -rf .jarvice; bash -s", batch.text.encode("utf-8"))
    assert b"JARVICE_APP_IMAGE=docker://" in reply.stdout, reply.complaint()
    assert not list(sandbox.home.rglob("canary"))


@examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_TEXT, HOSTILE_TEXT)
def test_the_parameters_reach_the_script_as_they_are(sandbox: Sandbox, one: str, two: str) -> None:
    settings = Settings(baremetal_http_proxy=one, singularity_tmpdir=two)
    hostile = job(
        text=SCRIPT, command=two, app_image=Image(one, Credentials(two, one)), init_image=Image(two)
    )
    batch = Renderer(settings, secrets_inside=True).batch_script(hostile)
    reply = sandbox.run("rm -rf .jarvice; bash -s", batch.text.encode("utf-8"))
    got = dict(line.split("=", 1) for line in reply.text().split("\0") if "=" in line)
    wanted = {
        key: str(value) for key, value in parameters(hostile, script_of(hostile), settings, Open("")).items()
    }
    assert {key: got.get(key) for key in wanted} == wanted
    assert got["JOB_LOCAL_USER"] == "kirby"


def test_a_directive_with_a_line_break_is_a_fault_that_names_it() -> None:
    asked = Resources(nodes=1, cores=1, partition="a\nb")
    with pytest.raises(TemplateFault, match="--partition holds a control character"):
        Renderer(Settings()).batch_script(job(resources=asked))
