"""Payloads for slurmrestd: the script, the environment, a site's templates, faults and secrets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipeline.errors import SettingsFault, TemplateFault
from pipeline.render import PayloadRenderer, Renderer
from pipeline.settings import Settings
from pipeline.shipped import folder, schema
from pipeline.slurm.api_versions import API_VERSIONS
from tests.harness.jobs import NAME, job
from tests.harness.payloads import batch, environment, payload

SECRET = "hunter\"2's $x é\n"
EXTENDS = '{% extends "shipped/slurmrestd/job.json.j2" %}\n'


def site(tmp_path: Path, **templates: str) -> Settings:
    """A site's templates; ``v0_0_40`` is ``slurmrestd/v0.0.40.json.j2``."""
    (tmp_path / "slurmrestd").mkdir()
    for name, text in templates.items():
        (tmp_path / "slurmrestd" / f"{name.replace('_', '.')}.json.j2").write_text(text, encoding="utf-8")
    return Settings(templates_dir=tmp_path)


def test_each_version_has_a_template_and_a_schema() -> None:
    templates = {
        path.name.removesuffix(".json.j2") for path in (folder("templates") / "slurmrestd").iterdir()
    }
    assert templates == {*API_VERSIONS, "job"}
    assert all(schema(f"slurmrestd/{version}") for version in API_VERSIONS)


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_script_is_the_one_for_sbatch(version: str) -> None:
    made = payload(version)
    assert made.version == version
    assert json.loads(made.body()) == made.document
    assert made.document["script"] == batch(Settings(), {}).text
    assert made.document["job"]["name"] == f"jarvice_{NAME}"
    assert made.document["job"]["current_working_directory"] == "/home/kirby"
    assert made.document["job"]["standard_output"] == f"/home/kirby/.jarvice/{NAME}.out"


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_environment_is_that_of_a_login(version: str) -> None:
    ours = environment(version, Settings(slurm_bin_dir="/opt/slurm/bin", slurm_conf="/etc/s.conf"))
    assert ours["PATH"] == "/opt/slurm/bin:/usr/local/bin:/usr/bin:/bin"
    assert {ours["HOME"], ours["SLURM_SUBMIT_DIR"]} == {"/home/kirby"}
    assert {ours["USER"], ours["LOGNAME"]} == {"kirby"}
    assert (ours["SHELL"], ours["LANG"], ours["SLURM_CONF"]) == ("/bin/bash", "C.UTF-8", "/etc/s.conf")
    assert "SLURM_JWT" not in ours
    assert "SLURM_CONF" not in environment(version)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--nice=abc", "line '#SBATCH --nice=abc' is not a whole number"),
        ("--no-such", "line '#SBATCH --no-such' is not supported by slurmrestd v0.0.42, which has no field"),
        ("--account x", r"line '#SBATCH --account' is not given a value \(--account=VALUE\)"),
        ("-A x", "line '#SBATCH -A' is not of the form --option=value"),
    ],
)
def test_an_option_of_a_site_template_is_the_templates_fault(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(TemplateFault, match=said) as fault:
        payload("v0.0.42", with_line(tmp_path, line))
    assert fault.value.job == NAME


@pytest.mark.parametrize("version", API_VERSIONS)
def test_memory_is_asked_for_in_one_way_as_sbatch_wants_it(version: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateFault, match="--mem-per-cpu=1G' is not compatible with --mem"):
        payload(version, with_line(tmp_path, "--mem=4G --mem-per-cpu=1G"))


def test_an_option_of_a_site_template_goes_to_slurmrestd_too(tmp_path: Path) -> None:
    settings = with_line(tmp_path, "--account='physics lab'")
    for version in API_VERSIONS:
        assert payload(version, settings).document["job"]["account"] == "physics lab"


def with_line(tmp_path: Path, line: str) -> Settings:
    """A site whose batch scripts have one more line."""
    (tmp_path / "sbatch").mkdir()
    (tmp_path / "sbatch" / "job.sh.j2").write_text(
        '{% extends "shipped/sbatch/job.sh.j2" %}{% block directives %}{{ super() }}#SBATCH '
        + line
        + "\n{% endblock %}"
    )
    return Settings(templates_dir=tmp_path)


@pytest.mark.parametrize("version", API_VERSIONS)
def test_a_site_adds_to_a_block_of_all_versions(tmp_path: Path, version: str) -> None:
    ours = EXTENDS + '{% block place %}{{ super() }}"wckey": {{ user ~ version }},{% endblock %}'
    made = payload(version, site(tmp_path, job=ours)).document["job"]
    assert made["wckey"] == f"kirby{version}"
    assert made["current_working_directory"] == "/home/kirby"


def test_a_change_of_one_version_counts_for_the_later_ones(tmp_path: Path) -> None:
    ours = '{% extends "shipped/slurmrestd/v0.0.41.json.j2" %}{% block place %}'
    ours += '"current_working_directory": {{ "/scratch/" ~ user }},{% endblock %}'
    settings = site(tmp_path, v0_0_41=ours)
    places = [payload(v, settings).document["job"]["current_working_directory"] for v in API_VERSIONS]
    assert places == ["/scratch/kirby"] * 5 + ["/home/kirby"] * 3


@pytest.mark.parametrize(
    "block", re.findall(r"{% block (\w+) %}", (folder("templates") / "slurmrestd/job.json.j2").read_text())
)
def test_each_block_can_be_added_to(tmp_path: Path, block: str) -> None:
    ours = f"{EXTENDS}{{% block {block} %}}{{# ours #}}{{{{ super() }}}}{{% endblock %}}"
    assert payload("v0.0.42", site(tmp_path, job=ours)).document == payload("v0.0.42").document


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            '"nice": 1',
            r"template slurmrestd/v0\.0\.42\.json\.j2: no JSON, line \d+ of what it renders: Expecting",
        ),
        ('"oops": 1,', r"job has what slurmrestd does not know: oops"),
        ('"nice": {{ "x" }},', r'job\.nice does not keep to its schema: type "integer"'),
        ('"nodes": "1",', "the field 'nodes' is there twice"),
        ("{{ nope }}", r"slurmrestd/job\.json\.j2 line 2: 'nope' is undefined"),
        ("{{ options.text('nope') }}", r"line 2: 'nope'"),
    ],
)
def test_a_broken_template_is_a_fault_that_says_where(tmp_path: Path, block: str, said: str) -> None:
    ours = f"{EXTENDS}{{% block queue %}}{block}{{% endblock %}}"
    with pytest.raises(TemplateFault, match=said) as fault:
        payload("v0.0.42", site(tmp_path, job=ours))
    assert fault.value.job == NAME


def test_a_block_that_no_shipped_template_has_stops_the_start(tmp_path: Path) -> None:
    ours = '{% extends "shipped/slurmrestd/v0.0.41.json.j2" %}{% block queues %}{% endblock %}'
    settings = site(tmp_path, v0_0_41=ours)
    with pytest.raises(SettingsFault, match=r"v0\.0\.41\.json\.j2 has no block queues; did you mean queue\?"):
        PayloadRenderer(settings)


def test_secrets_are_masked_in_every_spelling() -> None:
    script = "#!/bin/bash\n{DOWNSTREAM_PARAMETERS}\n"
    secret = job(text=script, command=SECRET, secrets=(SECRET,))
    ours = Renderer(Settings()).batch_script(secret)
    made = PayloadRenderer(Settings()).payload(ours, "v0.0.42", user="kirby", home="/home/kirby")
    assert "hunter" in made.body().decode()
    assert "hunter" not in made.masked()
    assert "********" in made.masked()
    assert SECRET not in repr(made)
    assert "hunter" not in repr(made)


@pytest.mark.parametrize(
    "wrong", ['"comment": {{ script }},"nice": {{ script }},', '"x": {{ script }}', "{{ script }}"]
)
def test_a_fault_shows_no_secret(tmp_path: Path, wrong: str) -> None:
    settings = site(tmp_path, job=f"{EXTENDS}{{% block queue %}}{wrong}{{% endblock %}}")
    secret = job(command="hunter 2", secrets=("hunter 2",), text="#!/bin/bash\n{DOWNSTREAM_PARAMETERS}\n")
    ours = Renderer(settings).batch_script(secret)
    with pytest.raises(TemplateFault) as fault:
        PayloadRenderer(settings).payload(ours, "v0.0.42", user="kirby", home="/home/kirby")
    assert "hunter" not in fault.value.message
