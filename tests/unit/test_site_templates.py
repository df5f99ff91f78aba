"""A site's own templates: searched first, extending the shipped ones block by block."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import SettingsFault, TemplateFault
from pipeline.job import Credentials, Image
from pipeline.render import Renderer
from pipeline.settings import Settings
from pipeline.shipped import folder
from tests.harness.bash import Sandbox
from tests.harness.jobs import NAME, job, native_job

EXTENDS = '{% extends "shipped/sbatch/job.sh.j2" %}\n'
SHIPPED = (folder("templates") / "sbatch" / "job.sh.j2").read_text(encoding="utf-8")

OF_CONTAINERS = [
    (file.name, block)
    for file in sorted((folder("templates") / "singularity").glob("*.sh.j2"))
    for block in re.findall(r"{% block (\w+) %}", file.read_text(encoding="utf-8"))
]


def with_site(tmp_path: Path, **templates: str) -> str:
    """The batch script with a site's templates; ``sbatch_job`` is ``sbatch/job.sh.j2``."""
    for name, text in templates.items():
        file = tmp_path / f"{name.replace('_', '/', 1)}.sh.j2"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return Renderer(Settings(templates_dir=tmp_path)).batch_script(job()).text


@pytest.mark.parametrize("block", re.findall(r"{% block (\w+) %}", SHIPPED))
def test_each_block_can_be_replaced_or_added_to(tmp_path: Path, block: str) -> None:
    replaced = with_site(tmp_path, sbatch_job=f"{EXTENDS}{{% block {block} %}}# ours\n{{% endblock %}}")
    added = with_site(
        tmp_path,
        sbatch_job=f"{EXTENDS}{{% block {block} %}}# ours\n{{{{ super() }}}}# too\n{{% endblock %}}",
    )
    shipped = Renderer(Settings()).batch_script(job()).text
    assert "# ours\n" in replaced
    assert replaced != shipped
    assert added.replace("# ours\n", "").replace("# too\n", "") == shipped


@pytest.mark.parametrize(("template", "block"), OF_CONTAINERS)
def test_each_block_of_containers_can_be_replaced_or_added_to(
    tmp_path: Path, template: str, block: str
) -> None:
    asked = native_job(image=Image("registry.example.com/group/app:1", Credentials("robot", "hunter2")))
    shipped = Renderer(Settings()).batch_script(asked).text
    site = tmp_path / "singularity" / template
    site.parent.mkdir()
    extends = f'{{% extends "shipped/singularity/{template}" %}}\n'
    for body, ours in (("# ours\n", False), ("# ours\n{{ super() }}", True)):
        site.write_text(f"{extends}{{% block {block} %}}{body}{{% endblock %}}")
        text = Renderer(Settings(templates_dir=tmp_path)).batch_script(asked).text
        assert "# ours\n" in text
        assert (text.replace("# ours\n", "") == shipped) is ours


def test_a_block_sees_the_same_variables(tmp_path: Path) -> None:
    launch = "{% block launch %}mpirun -n {{ nodes * cores }} {{ name }}\n{% endblock %}"
    text = with_site(tmp_path, sbatch_job=EXTENDS + launch)
    assert f"mpirun -n 1 {NAME}\n" in text
    assert "srun --" not in text


def test_a_replaced_block_runs(tmp_path: Path) -> None:
    launch = "{% block launch %}echo launched {{ name }}; srun_code=4\n{% endblock %}"
    text = with_site(tmp_path / "site", sbatch_job=EXTENDS + launch)
    sandbox = Sandbox(tmp_path)
    sandbox.environment.update(SLURM_JOB_ID="7", SLURM_JOB_NAME="jarvice_x")
    sandbox.command("squeue", "exit 0")
    reply = sandbox.run("bash -s", text.encode("utf-8"))
    assert (reply.exit_code, reply.text()) == (4, f"launched {NAME}\n")


def test_one_included_file_can_be_replaced_or_added_to(tmp_path: Path) -> None:
    ours = '{% include "shipped/singularity/parameters.sh.j2" %}\nexport SITE={{ user }}x\n'
    text = with_site(tmp_path, singularity_parameters=ours)
    assert 'export JOB_LOCAL_USER="$USER"\n' in text
    assert "export SITE=''x\n" in text


def test_what_the_site_does_not_have_is_the_shipped_one(tmp_path: Path) -> None:
    assert with_site(tmp_path) == Renderer(Settings()).batch_script(job()).text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ nope }}", "'nope' is undefined"),
        (EXTENDS + "{% block launch %}{{ parameter.x }}{% endblock %}", "'parameter' is undefined"),
        ('{% include "not/there.j2" %}', "there is no template not/there.j2"),
        ("{{ directives }}", "is not one word"),
        ("{{ 'x' | directive('a\\nb') }}", "--x holds a control character"),
        ("{{ name | no_such_filter }}", "no_such_filter"),
        ("{{ nodes + name }}", "unsupported operand"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ '\\0' }}", "NUL"),
        ("{{ name() }}", "not callable"),
    ],
)
def test_a_broken_template_is_a_fault_that_says_which_and_why(
    tmp_path: Path, template: str, said: str
) -> None:
    with pytest.raises(TemplateFault) as fault:
        with_site(tmp_path, sbatch_job=template)
    assert fault.value.message.startswith("template ")
    assert said in fault.value.message
    assert fault.value.job == NAME


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if %}", "line 1: Expected an expression"),
        ("{% block x %}", "line 1: Unexpected end of template"),
        ("# one\n{% oops %}", "line 2: Encountered unknown tag 'oops'"),
        ('{% extends "shipped/not-there.j2" %}', "extends shipped/not-there.j2, which is not there"),
        (EXTENDS + "{% block prologue %}x{% endblock %}", "has no block prologue; did you mean prolog?"),
    ],
)
def test_what_can_be_seen_without_a_job_stops_the_start(tmp_path: Path, template: str, said: str) -> None:
    with pytest.raises(SettingsFault) as fault:
        with_site(tmp_path, sbatch_job=template)
    [told] = fault.value.faults
    assert told.startswith(f"template {tmp_path}/sbatch/job.sh.j2 ")
    assert said in told


def test_the_fault_names_the_file_and_the_line(tmp_path: Path) -> None:
    with pytest.raises(TemplateFault, match=r"singularity/parameters\.sh\.j2 line 3: 'nope' is undefined"):
        with_site(tmp_path / "1", singularity_parameters="# one\n# two\n{{ nope }}\n")


def test_a_template_that_is_not_utf_8_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "sbatch").mkdir()
    (tmp_path / "sbatch" / "job.sh.j2").write_bytes(b"\xff")
    with pytest.raises(SettingsFault, match=r"sbatch/job\.sh\.j2"):
        Renderer(Settings(templates_dir=tmp_path)).batch_script(job())


def test_a_template_that_is_changed_counts_for_the_next_job(tmp_path: Path) -> None:
    file = tmp_path / "sbatch" / "job.sh.j2"
    file.parent.mkdir()
    file.write_text("one", encoding="utf-8")
    renderer = Renderer(Settings(templates_dir=tmp_path))
    assert renderer.batch_script(job()).text == "one"
    file.write_text("another", encoding="utf-8")
    assert renderer.batch_script(job()).text == "another"
