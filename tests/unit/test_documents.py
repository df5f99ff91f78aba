"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import click
import pytest
from jinja2 import Environment

from pipeline import intake
from pipeline.cli.commands import commands
from pipeline.errors import DownstreamError, SettingsFault
from pipeline.render import PayloadRenderer, Renderer
from pipeline.render.batch import TEMPLATE
from pipeline.render.context import parameters
from pipeline.render.json_environment import json_environment
from pipeline.render.sealing import Seal
from pipeline.settings import Settings
from pipeline.settings.load import DECLARED, FILE_VARIABLE
from pipeline.settings.publish import defaults_yaml, settings_schema
from pipeline.slurm import directives
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.options import Options
from tests.harness.jobs import native_job, script_of
from tests.harness.payloads import payload

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
EXAMPLE_TEMPLATES = PROJECT / "examples" / "templates"
IMAGE_SHELF = PROJECT / "examples" / "image-shelf"
EVERYTHING = PROJECT / "examples" / "upstream" / "everything.json"


def text_of(*parts: str) -> str:
    return PROJECT.joinpath(*parts).read_text(encoding="utf-8")


def section(document: str, title: str) -> str:
    """The part of a document under a heading, up to the next one of its level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", document, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title!r}"
    return found[1]


def first_column(part: str) -> list[str]:
    """The names in the first column of a part's table."""
    return re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE)


def rendered(settings: Settings, example: Path = EVERYTHING) -> str:
    job = intake.read_form(json.loads(example.read_text(encoding="utf-8")), settings)
    return Renderer(settings).batch_script(job).text


def test_template_variables() -> None:
    job = intake.read_form(json.loads(EVERYTHING.read_text(encoding="utf-8")), Settings())
    assert first_column(section(text_of("docs", "templates.md"), "Variables")) == list(
        Renderer(Settings()).context(job)
    )


def test_template_blocks() -> None:
    blocks = re.findall(r"{% block (\w+) %}", text_of("templates", TEMPLATE))
    documented = section(text_of("docs", "templates.md"), "Blocks of `sbatch/job.sh.j2`")
    assert first_column(documented) == blocks


def test_container_blocks_and_variables() -> None:
    document = text_of("docs", "templates.md")
    rows = re.findall(
        r"^\| `(\w+)` \| `([\w.]+)` \|", section(document, "Blocks of `singularity/`"), re.MULTILINE
    )
    blocks = {
        (block, file.name)
        for file in (PROJECT / "templates" / "singularity").iterdir()
        for block in re.findall(r"{% block (\w+) %}", file.read_text(encoding="utf-8"))
    }
    assert set(rows) == blocks
    variables = Renderer(Settings()).context(native_job())["container"]
    assert isinstance(variables, dict)
    assert first_column(section(document, "The container of a native job")) == list(variables)


def test_payload_blocks_and_variables() -> None:
    document = text_of("docs", "templates.md")
    blocks = re.findall(r"{% block (\w+) %}", text_of("templates", "slurmrestd", "job.json.j2"))
    assert first_column(section(document, "Blocks of `slurmrestd/job.json.j2`")) == blocks
    job = intake.read_form(json.loads(EVERYTHING.read_text(encoding="utf-8")), Settings())
    variables = PayloadRenderer(Settings()).context(
        Renderer(Settings()).batch_script(job), API_VERSIONS[0], user="kirby", home="/home/kirby"
    )
    assert first_column(section(document, "Variables of payloads")) == list(variables)


def test_payload_options_and_filters() -> None:
    document = text_of("docs", "templates.md")
    calls = re.findall(r"^\| `options\.(\w+)\(", section(document, "Options in payloads"), re.MULTILINE)
    public = {name for name, method in vars(Options).items() if callable(method) and name[0] != "_"}
    assert set(calls) == public
    ours = set(json_environment(None).filters) - set(Environment().filters)
    assert set(first_column(section(document, "Filters of payloads"))) == ours


def test_the_example_of_a_payload_renders(tmp_path: Path) -> None:
    part = section(text_of("docs", "templates.md"), "Payloads for slurmrestd")
    [example] = re.findall(r"```jinja\n(.*?)```", part, re.DOTALL)
    (tmp_path / "slurmrestd").mkdir()
    (tmp_path / "slurmrestd" / "job.json.j2").write_text(example, encoding="utf-8")
    made = payload(API_VERSIONS[0], Settings(templates_dir=tmp_path))
    assert made.document["job"]["admin_comment"] == "sent for kirby"


def test_template_filters() -> None:
    ours = set(Renderer(Settings())._environment.filters) - set(Environment().filters)
    assert set(first_column(section(text_of("docs", "templates.md"), "Filters"))) == ours


def test_templates() -> None:
    shipped = {str(path.relative_to(PROJECT / "templates")) for path in PROJECT.glob("templates/*/*.j2")}
    documented = section(text_of("docs", "templates.md"), "Where templates come from")
    assert set(first_column(documented)) == shipped


def test_the_worked_example_is_the_file_and_renders() -> None:
    example = (EXAMPLE_TEMPLATES / TEMPLATE).read_text(encoding="utf-8")
    assert f"```jinja\n{example}```" in text_of("docs", "templates.md")
    ours = rendered(Settings(templates_dir=EXAMPLE_TEMPLATES))
    assert directives.read(ours) == {**directives.read(rendered(Settings())), "constraint": "arm64"}
    assert ours.index("module load apptainer") < ours.index("export PROCESS_PROCID")
    assert 'application:" app-with-all\n' in ours
    assert "noclobber" in ours
    done = subprocess.run(["bash", "-n"], input=ours, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_of_containers_is_its_files() -> None:
    part = section(text_of("docs", "templates.md"), "Another worked example")
    shown = re.findall(r"```jinja\n(.*?)```", part, re.DOTALL)
    files = [IMAGE_SHELF / "singularity" / f"{name}.sh.j2" for name in ("runtime", "pull")]
    assert shown == [file.read_text(encoding="utf-8") for file in files]


def test_settings_have_their_defaults_written_down() -> None:
    assert text_of("config", "defaults.yaml") == defaults_yaml(), "run: jarvice-downstream settings"
    assert text_of("schemas", "settings.schema.json") == settings_schema()


def test_documents_name_no_variable_that_is_none() -> None:
    job = intake.read_form(json.loads(EVERYTHING.read_text(encoding="utf-8")), Settings())
    known = {declaration.variable for declaration in DECLARED.values()} | {FILE_VARIABLE}
    known |= {f"{variable}_FILE" for variable in known} | set(
        parameters(job, script_of(job), Settings(), Seal(""))
    )
    known |= {"JARVICE_CPU_CORES", "JARVICE_CMD_SUCCESS", "JARVICE_CMD_FAILURE"}
    known |= {"JARVICE_TEST_CLUSTER"}
    for document in [*DOCUMENTS, *(PROJECT / "examples").glob("*.sh")]:
        named = set(
            re.findall(r"\b(?:JARVICE|WAITRESS)_[A-Z0-9_]*[A-Z0-9]\b", document.read_text(encoding="utf-8"))
        )
        assert named <= known, document


def test_the_site_guide_has_the_variables_of_a_start_script() -> None:
    guide = text_of("docs", "site-setup.md")
    missing = [declared.variable for declared in DECLARED.values() if declared.variable not in guide]
    assert not missing


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_commands_and_their_options(name: str) -> None:
    part = section(text_of("docs", "commands.md"), name)
    for parameter in commands.commands[name].params:
        if isinstance(parameter, click.Option):
            assert all(f"`{option}" in part for option in parameter.opts)
        else:
            assert str(parameter.human_readable_name) in part


def test_no_command_that_is_none() -> None:
    assert re.findall(r"^## (.*)$", text_of("docs", "commands.md"), re.MULTILINE) == [
        "serve", "render", "validate", "submit", "status", "logs", "cancel", "release", "settings",
        "Completion in a shell",
    ]  # fmt: skip
    assert len(commands.commands) == 9


def test_error_statuses_are_explained() -> None:
    def statuses(kind: type[DownstreamError]) -> set[int]:
        return {kind.status}.union(
            *(statuses(one) for one in kind.__subclasses__() if one is not SettingsFault)
        )

    explained = section(text_of("docs", "site-setup.md"), "What an error means")
    assert {int(code) for code in re.findall(r"^\| (\d{3}) \|", explained, re.MULTILINE)} == statuses(
        DownstreamError
    ) | {405, 413}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_the_dependencies_are_justified() -> None:
    setup = text_of("setup.cfg")
    wanted = re.findall(
        r"^    ([A-Za-z][A-Za-z0-9_-]+)(?: [><=].*)?$", _of(setup, "install_requires"), re.MULTILINE
    )
    wanted += re.findall(r"^    ([A-Za-z][A-Za-z0-9_-]+)(?: [><=].*)?$", _of(setup, "test"), re.MULTILINE)
    reasons = section(text_of("docs", "architecture.md"), "Dependencies, and why each is there")
    assert [name for name in wanted if not name.startswith("types-")] == [
        name for name in first_column(reasons) if name != "types-*"
    ]


def _of(setup: str, key: str) -> str:
    """The value of a key in setup.cfg that goes over several lines."""
    found = re.search(rf"^{key} =\n((?:    .*\n)+)", setup, re.MULTILINE)
    assert found
    return found[1]
