"""Payloads for slurmrestd, in each version of its API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InvalidJob, SettingsFault, TemplateFault
from pipeline.render import BatchScript, Payload, PayloadRenderer, Renderer
from pipeline.settings import Settings
from pipeline.shipped import folder, schema
from pipeline.slurm.api_versions import API_VERSIONS
from tests.harness.jobs import JOB, NAME, job

SECRET = "hunter\"2's $x é\n"
EXTENDS = '{% extends "shipped/slurmrestd/job.json.j2" %}\n'


def batch(settings: Settings, options: Mapping[str, str | bool]) -> BatchScript:
    asked = {name.replace("_", "-"): value for name, value in options.items()}
    return Renderer(settings).batch_script(job(resources=replace(JOB.resources, sbatch_options=asked)))


def payload(
    version: str, settings: Settings | None = None, options: Mapping[str, str | bool] | None = None
) -> Payload:
    settings = settings or Settings()
    script = batch(settings, options or {})
    return PayloadRenderer(settings).payload(script, version, user="kirby", home="/home/kirby")


def fields(version: str, **options: str | bool) -> dict[str, Any]:
    """What the options add to a job's payload, but for the batch script and the environment."""
    plain, asked = payload(version).document["job"], payload(version, options=options).document["job"]
    return {
        name: value for name, value in asked.items() if plain.get(name) != value and name != "environment"
    }


def environment(version: str, settings: Settings | None = None, **options: str | bool) -> dict[str, str]:
    found = payload(version, settings, options).document["job"]["environment"]
    return found if isinstance(found, dict) else dict(entry.split("=", 1) for entry in found)


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


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_environment_has_what_srun_reads_there(version: str) -> None:
    ours = environment(version, gpus_per_node="a100:2", cpus_per_task="3")
    assert (ours["SLURM_GPUS_PER_NODE"], ours["SLURM_CPUS_PER_TASK"]) == ("a100:2", "3")
    assert ours["SLURM_NTASKS_PER_NODE"] == "1"


@pytest.mark.parametrize(
    ("options", "new", "old"),
    [
        (
            {"mem": "1500K"},
            {"memory_per_node": {"set": True, "infinite": False, "number": 2}},
            {"memory_per_node": 2},
        ),
        (
            {"time": "UNLIMITED"},
            {"time_limit": {"set": True, "infinite": True, "number": 0}},
            {"time_limit": 0},
        ),
        ({"exclusive": True}, {"shared": ["none"]}, {"exclusive": "exclusive"}),
        ({"oversubscribe": True}, {"shared": ["oversubscribe"]}, {"oversubscribe": True}),
        ({"no_requeue": True}, {"requeue": False}, {"no_requeue": True}),
        ({"spread_job": True}, {"flags": ["SPREAD_JOB"]}, {"spread_job": True}),
        ({"nodelist": "n[1-2]"}, {"required_nodes": ["n1", "n2"]}, {"nodelist": "n[1-2]"}),
        ({"open_mode": "append"}, {"open_mode": ["APPEND"]}, {"open_mode": "append"}),
        ({"mail_type": "END,FAIL"}, {"mail_type": ["END", "FAIL"]}, {"mail_type": "END,FAIL"}),
        ({"gpus": "2"}, {"tres_per_job": "gres/gpu:2"}, {"gpus": "2"}),
        ({"gres": "gpu:1", "gpus_per_node": "2"}, {"tres_per_node": "gres/gpu:2,gres/gpu:1"}, None),
        ({"gres": "none"}, {}, {"gres": "none"}),
        ({"no_kill": True}, {"kill_on_node_fail": False}, {"no_kill": "set"}),
        ({"hold": True, "priority": "5"}, {"hold": True}, None),
        ({"comment": 'a "b" \\'}, {"comment": 'a "b" \\'}, {"comment": 'a "b" \\'}),
    ],
    ids=str,
)
def test_options_in_their_fields(options: Any, new: dict[str, Any], old: dict[str, Any] | None) -> None:
    for version in API_VERSIONS[:-2]:
        assert fields(version, **options) == new
    if old is not None:
        assert fields("v0.0.38", **options) == old


def test_what_changed_between_versions() -> None:
    assert fields("v0.0.39", gpus="2") == {"tres_per_job": "gres:gpu:2"}
    assert fields("v0.0.39", gres_flags="disable-binding") == {"flags": ["GRED_BINDING_DISABLED"]}
    assert isinstance(fields("v0.0.39", begin="now")["begin_time"], int)
    assert fields("v0.0.40", cores_per_socket="2") == fields("v0.0.45", cores_per_socket="2")
    assert fields("v0.0.41", exclusive="topo") == {"shared": ["topo"]}
    assert fields("v0.0.41", stepmgr="") == {"flags": ["STEPMGR_ENABLED"]}
    assert fields("v0.0.41", distribution="cyclic:block") == {"distribution": "cyclic:block"}
    assert fields("v0.0.42", oom_kill_step="1") == {"oom_kill_step": 1}
    assert fields("v0.0.44", spread_segments="") == {"flags": ["SPREAD_SEGMENTS"]}


def test_what_each_task_gets_is_bound_to_it() -> None:
    made = fields("v0.0.42", gpus_per_task="a100:2", cpus_per_task="3")
    assert made == {
        "cpus_per_task": 3,
        "tres_per_task": "cpu=3,gres/gpu:a100=2",
        "tres_bind": "gres/gpu:per_task:2",
        "flags": ["EXACT_CPU_COUNT_REQUESTED"],
    }
    assert fields("v0.0.42", tres_per_task="cpu:3")["cpus_per_task"] == 3


@pytest.mark.parametrize(
    ("version", "option", "value"),
    [
        ("v0.0.40", "get-user-env", True),
        ("v0.0.40", "distribution", "block"),
        ("v0.0.39", "tres-per-task", "gres/gpu:1"),
        ("v0.0.38", "ntasks-per-gpu", "1"),
        ("v0.0.38", "extra", "x"),
        ("v0.0.41", "cores-per-socket", "1"),
        ("v0.0.43", "cores-per-socket", "1"),
        ("v0.0.45", "no-such-option", "1"),
    ],
)
def test_an_option_without_a_field_is_the_callers_fault(version: str, option: str, value: str | bool) -> None:
    with pytest.raises(InvalidJob) as fault:
        payload(version, options={option: value})
    shown = "" if value is True else value
    assert fault.value.job == NAME
    assert fault.value.message == (
        f"JOBOBJ_DEVICES: 'sbatch_{option}={shown}' is not supported by slurmrestd {version}, "
        f"which has no field for sbatch's --{option}"
    )


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("nice", "abc", "a whole number"),
        ("time", "soon", "MINUTES"),
        ("mem", "lots", "a size such as 500M or 4G"),
        ("open-mode", "w", "one of append, truncate"),
        ("kill-on-invalid-dep", "maybe", "one of yes, no"),
        ("exclusive", "nobody", "one of exclusive, oversubscribe, user, mcs"),
    ],
)
def test_a_value_that_sbatch_would_not_read_is_the_callers_fault(
    version: str, option: str, value: str, said: str
) -> None:
    with pytest.raises(InvalidJob, match=f"^JOBOBJ_DEVICES: 'sbatch_{option}={value}' is not {said}"):
        payload(version, options={option: value})


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
    secret = job(script=script, command=SECRET, secrets=(SECRET,))
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
    secret = job(command="hunter 2", secrets=("hunter 2",), script="#!/bin/bash\n{DOWNSTREAM_PARAMETERS}\n")
    ours = Renderer(settings).batch_script(secret)
    with pytest.raises(TemplateFault) as fault:
        PayloadRenderer(settings).payload(ours, "v0.0.42", user="kirby", home="/home/kirby")
    assert "hunter" not in fault.value.message
