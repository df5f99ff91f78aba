"""render, validate, settings: the way of a submission without network, keys or cluster."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipeline import __version__
from pipeline.cli.commands import commands
from pipeline.slurm.api_versions import API_VERSIONS
from tests.golden.cases import EXAMPLES, HERE
from tests.harness.fake_slurmrestd import token
from tests.harness.forms import form, script
from tests.harness.keys import b64

EXAMPLE = EXAMPLES / "everything.json"
SECRET = "not-a-real-secret"


def run(folder: Path, *words: object, **settings: str) -> Result:
    """The command in a folder, with nothing in its environment but these settings."""
    with contextlib.chdir(folder):
        environment = {**dict.fromkeys(os.environ), **settings}
        return CliRunner().invoke(
            commands, [str(word) for word in words], env=environment, catch_exceptions=False
        )


def test_render_prints_the_batch_script_with_an_empty_environment(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("jarvice-downstream")), "render", str(EXAMPLE)]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (HERE / "everything.sh").read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_render_needs_nothing_that_only_a_service_needs(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "render",
        EXAMPLE,
        JARVICE_SLURM_CLUSTER_ADDR="none.invalid",
        JARVICE_USERS_ID_MAPPING="none",
    )
    assert done.exit_code == 0


def test_secrets_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    for words in (["render"], ["render", "--context"]):
        masked = run(tmp_path, *words, EXAMPLE).stdout
        assert SECRET not in masked
        assert b64(SECRET) not in masked
        assert SECRET in run(tmp_path, *words, "--show-secrets", EXAMPLE).stdout


def test_the_context_is_what_templates_get(tmp_path: Path) -> None:
    context = json.loads(run(tmp_path, "render", "--context", EXAMPLE).stdout)
    assert context["directives"]["gpus-per-node"] == 2
    assert context["parameters"]["JARVICE_APP_IMAGE"] == "docker://registry.example.com/group/app:1"


def test_out_writes_a_file_for_each_form_that_only_its_owner_reads(tmp_path: Path) -> None:
    examples = sorted(EXAMPLES.glob("*.json"))
    done = run(tmp_path, "render", "--out", "new/folder", *examples)
    assert done.exit_code == 0
    names = {f"{json.loads(file.read_text())['name']}.sh" for file in examples}
    written = list((tmp_path / "new" / "folder").iterdir())
    assert {file.name for file in written} == names
    assert {file.stat().st_mode & 0o777 for file in written} == {0o600}
    assert sorted(Path(line).name for line in done.stdout.splitlines()) == sorted(names)


def test_of_several_files_every_fault_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    (tmp_path / "walltime.json").write_text(json.dumps(form(script("echo", JOBOBJ_WALLTIME="1h"))))
    (tmp_path / "no-json.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    wrong = ["walltime.json", "no-json.json", "list.json", "binary.json"]
    files = [wrong[0], EXAMPLE, *wrong[1:]]
    for command in ("validate", "render"):
        done = run(tmp_path, command, *files)
        assert done.exit_code == 2
        told = done.stderr.splitlines()
        assert [line.split(": ")[1] for line in told] == [
            "walltime.json",
            "no-json.json",
            "list.json",
            "binary.json",
        ]
        assert told[0] == "error: walltime.json: JOBOBJ_WALLTIME: '1h' is not HH:MM:SS"
        assert "app-with-all" in done.stdout


def test_validate_says_what_is_valid(tmp_path: Path) -> None:
    done = run(tmp_path, "validate", EXAMPLE)
    name = json.loads(EXAMPLE.read_text())["name"]
    assert (done.exit_code, done.stdout) == (0, f"{EXAMPLE}: valid, job {name}\n")


@pytest.mark.parametrize("command", ["render", "validate"])
def test_wrong_settings_are_told_before_any_file(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, EXAMPLE, JARVICE_SINGULARITY_OVERLAY_SIZE="big", WAITRESS_PORT="x")
    assert done.exit_code == 2
    assert "JARVICE_SINGULARITY_OVERLAY_SIZE: 'big'" in done.stderr
    assert "WAITRESS_PORT: 'x'" in done.stderr


@pytest.mark.parametrize("command", ["render", "validate"])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "none.json")
    assert done.exit_code == 2
    assert "none.json" in done.stderr


# ---- what slurmrestd would be sent ----


def payload_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_payload_is_shown_as_json_and_what_is_assumed_on_standard_error(tmp_path: Path) -> None:
    done = run(tmp_path, "render", "--interface", "http", EXAMPLE)
    payload = payload_of(done)
    assert payload["job"]["name"].startswith("jarvice_2022")
    assert payload["job"]["current_working_directory"] == "/home/user"
    # Nothing comes beside a payload: its script brings what the job's marks stand for.
    alone = run(tmp_path, "render", EXAMPLE, JARVICE_BAREMETAL_CONNECTOR="local").stdout
    added = [line for line in payload["script"].splitlines() if line not in alone.splitlines()]
    assert [line.partition("=")[0] for line in added] == ["#SBATCH --open-mode", "#SBATCH --comment"]
    assert alone != run(tmp_path, "render", EXAMPLE).stdout
    notes = done.stderr.splitlines()
    assert all(note.startswith("note: ") for note in notes)
    assert [note.split(" ")[1] for note in notes] == [API_VERSIONS[0], "a", "home"]


def test_notes_are_told_once_for_all_files(tmp_path: Path) -> None:
    examples = sorted(EXAMPLES.glob("*.json"))
    done = run(tmp_path, "validate", "--interface", "http", *examples)
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, len(examples))
    assert len(done.stderr.splitlines()) == 3


def test_what_is_known_is_not_assumed(tmp_path: Path) -> None:
    ours = form(script("echo"), bearer=token("kirby"))
    (tmp_path / "job.json").write_text(json.dumps(ours))
    done = run(
        tmp_path, "render", "job.json",
        JARVICE_SLURM_INTERFACE="http",
        JARVICE_SLURMRESTD_API_VERSION="v0.0.41",
        JARVICE_SLURM_USER_HOME="/data/%u",
    )  # fmt: skip
    assert payload_of(done)["job"]["current_working_directory"] == "/data/kirby"
    assert done.stderr == ""
    assert ours["bearer"] not in done.stdout


@pytest.mark.parametrize("version", API_VERSIONS)
def test_each_version_can_be_shown(tmp_path: Path, version: str) -> None:
    """A version is enough: only slurmrestd has one."""
    one = run(tmp_path, "render", "--api-version", version, EXAMPLES / "hello.json")
    two = run(tmp_path, "render", "--interface", "http", "--api-version", version, EXAMPLES / "hello.json")
    assert payload_of(one) == payload_of(two)
    assert version not in one.stderr


@pytest.mark.parametrize("command", ["render", "validate"])
def test_the_interface_of_the_settings_is_the_default_and_an_option_overrides_it(
    tmp_path: Path, command: str
) -> None:
    http = {"JARVICE_SLURM_INTERFACE": "http"}
    assert "note: " in run(tmp_path, command, EXAMPLE, **http).stderr
    assert run(tmp_path, command, "--interface", "cli", EXAMPLE, **http).stderr == ""


@pytest.mark.parametrize("command", ["render", "validate"])
@pytest.mark.parametrize(
    "words",
    [
        ("--interface", "cli", "--api-version", "v0.0.40"),
        ("--api-version", "v0.0.37"),
        ("--interface", "rest"),
    ],
)
def test_options_that_do_not_go_together_or_are_none_are_a_usage_error(
    tmp_path: Path, command: str, words: tuple[str, ...]
) -> None:
    done = run(tmp_path, command, *words, EXAMPLE)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert words[-2] in done.stderr


def test_secrets_of_a_payload_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    words = ["render", "--interface", "http"]
    masked = run(tmp_path, *words, EXAMPLE).stdout
    shown = run(tmp_path, *words, "--show-secrets", EXAMPLE).stdout
    for secret in (SECRET, b64(SECRET)):
        assert secret not in masked
    assert SECRET in shown
    assert json.loads(masked).keys() == json.loads(shown).keys()


def test_out_writes_payloads_as_json(tmp_path: Path) -> None:
    done = run(tmp_path, "render", "--interface", "http", "--out", "new", EXAMPLE)
    name = json.loads(EXAMPLE.read_text())["name"]
    [written] = (tmp_path / "new").iterdir()
    assert (written.name, written.stat().st_mode & 0o777) == (f"{name}.json", 0o600)
    assert json.loads(written.read_text())["job"]["name"] == f"jarvice_{name}"
    assert SECRET not in written.read_text()
    assert done.stdout == f"new/{name}.json\n"


@pytest.mark.parametrize("command", ["render", "validate"])
def test_an_option_that_a_version_has_no_field_for_is_named(tmp_path: Path, command: str) -> None:
    asks = form(script("echo", devices=["exclusive=False", "sbatch_network=sn_all"]))
    (tmp_path / "job.json").write_text(json.dumps(asks))
    assert run(tmp_path, command, "--api-version", "v0.0.42", "job.json").exit_code == 0
    done = run(tmp_path, command, "--api-version", "v0.0.38", "job.json", EXAMPLES / "hello.json")
    assert done.exit_code == 2
    assert "error: job.json: JOBOBJ_DEVICES: 'sbatch_network=sn_all' is not" in done.stderr
    assert "v0.0.38" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hello" in done.stdout  # the other file is done all the same


def test_a_sites_own_payload_template_with_a_fault_is_no_fault_of_the_form(tmp_path: Path) -> None:
    (tmp_path / "slurmrestd").mkdir()
    (tmp_path / "slurmrestd" / "v0.0.45.json.j2").write_text("{{ nope }}")
    done = run(tmp_path, "render", "--interface", "http", EXAMPLE, JARVICE_DOWNSTREAM_TEMPLATES=str(tmp_path))
    assert done.exit_code == 1
    assert "v0.0.45.json.j2 line 1: 'nope' is undefined" in done.stderr


def test_a_sites_template_with_a_fault_is_no_fault_of_the_form(tmp_path: Path) -> None:
    (tmp_path / "sbatch").mkdir()
    (tmp_path / "sbatch" / "job.sh.j2").write_text("{{ nope }}")
    done = run(tmp_path, "render", EXAMPLE, JARVICE_DOWNSTREAM_TEMPLATES=str(tmp_path))
    assert done.exit_code == 1
    assert "job.sh.j2 line 1: 'nope' is undefined" in done.stderr


# ---- native job specs ----

JOBS = EXAMPLES.parent / "jobs"
LOGIN = "\n".join(
    ["registry_logins:", "  example:", "    registry: registry.example.com", "    username: robot",
     f"    password: {SECRET}", ""]
)  # fmt: skip


def logins(folder: Path) -> dict[str, str]:
    file = folder / "logins.yaml"
    file.touch(mode=0o600)
    file.write_text(LOGIN, encoding="ascii")
    return {"JARVICE_DOWNSTREAM_REGISTRY_LOGINS": str(file)}


@pytest.mark.parametrize("words", [(), ("--interface", "http")])
def test_specs_and_forms_are_told_apart_by_what_they_say(tmp_path: Path, words: tuple[str, ...]) -> None:
    specs = sorted(JOBS.glob("*.yaml"))
    as_json = tmp_path / "named-otherwise.txt"
    as_json.write_text('{"name": "j", "user": "kirby", "image": "/x.sif", "command": ["true"]}')
    files = [*specs, as_json, EXAMPLE]
    done = run(tmp_path, "validate", *words, *files, **logins(tmp_path))
    names = [*(file.stem for file in specs), "j", json.loads(EXAMPLE.read_text())["name"]]
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{file}: valid, job {name}" for file, name in zip(files, names, strict=True)
    ]


def test_a_spec_is_rendered(tmp_path: Path) -> None:
    done = run(tmp_path, "render", JOBS / "hello.yaml")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "#SBATCH --job-name=jarvice_:hello\n" in done.stdout
    context = json.loads(run(tmp_path, "render", "--context", JOBS / "hello.yaml").stdout)
    assert context["container"]["command"] == ["echo", "hello from a container"]
    run(tmp_path, "render", "--out", "new", JOBS / "hello.yaml")
    assert (tmp_path / "new" / "hello.sh").read_text() == done.stdout


def test_the_payload_of_a_spec_is_its_users(tmp_path: Path) -> None:
    done = run(tmp_path, "render", "--interface", "http", JOBS / "hello.yaml")
    payload = payload_of(done)
    assert payload["job"]["name"] == "jarvice_:hello"
    assert payload["job"]["current_working_directory"] == "/home/kirby"
    assert "bearer" not in done.stderr


@pytest.mark.parametrize("words", [(), ("--interface", "http"), ("--context",)])
def test_a_registry_login_is_shown_only_when_asked_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    command = ["render", *words, JOBS / "everything.yaml"]
    hidden = run(tmp_path, *command, **logins(tmp_path))
    assert hidden.exit_code == 0, hidden.stderr
    assert SECRET not in hidden.stdout
    if "--context" not in words:
        assert SECRET in run(tmp_path, *command, "--show-secrets", **logins(tmp_path)).stdout


def test_a_login_is_inside_the_script_of_a_payload_and_not_of_a_batch_script(tmp_path: Path) -> None:
    part = "END_OF_SECRETS"
    assert part not in run(tmp_path, "render", JOBS / "everything.yaml", **logins(tmp_path)).stdout
    http = {"JARVICE_SLURM_INTERFACE": "http", **logins(tmp_path)}
    assert part in run(tmp_path, "render", JOBS / "everything.yaml", **http).stdout
    assert part not in run(tmp_path, "render", "--interface", "cli", JOBS / "everything.yaml", **http).stdout


def test_the_example_has_each_field_once() -> None:
    schema = json.loads((EXAMPLES.parents[1] / "schemas" / "job.schema.json").read_text())
    spec = yaml.safe_load((JOBS / "everything.yaml").read_text())
    assert spec.keys() == schema["properties"].keys()


@pytest.mark.parametrize("command", ["render", "validate"])
def test_a_fault_of_a_spec_is_told_with_file_line_and_field(tmp_path: Path, command: str) -> None:
    (tmp_path / "typo.yaml").write_text((JOBS / "hello.yaml").read_text() + "walltme: '00:10:00'\n")
    done = run(tmp_path, command, "typo.yaml", JOBS / "script.yaml")
    assert done.exit_code == 2
    assert done.stderr == "error: typo.yaml: line 6: walltme: is not a field; did you mean walltime?\n"
    assert "script" in done.stdout, "the other file is done all the same"


def test_the_command_tells_its_version(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"jarvice-downstream, version {__version__}\n"
