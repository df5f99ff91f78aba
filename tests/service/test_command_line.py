"""render, validate, settings: the way of a submission without network, keys or cluster."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline import __version__
from pipeline.cli import main
from tests.golden.cases import EXAMPLES, HERE
from tests.harness.forms import form, script
from tests.harness.keys import b64

EXAMPLE = EXAMPLES / "everything.json"
SECRET = "not-a-real-secret"


def run(folder: Path, *words: object, **settings: str) -> Result:
    """The command in a folder, with nothing in its environment but these settings."""
    with contextlib.chdir(folder):
        environment = {**dict.fromkeys(os.environ), **settings}
        return CliRunner().invoke(
            main, [str(word) for word in words], env=environment, catch_exceptions=False
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


def test_a_sites_template_with_a_fault_is_no_fault_of_the_form(tmp_path: Path) -> None:
    (tmp_path / "sbatch").mkdir()
    (tmp_path / "sbatch" / "job.sh.j2").write_text("{{ nope }}")
    done = run(tmp_path, "render", EXAMPLE, JARVICE_DOWNSTREAM_TEMPLATES=str(tmp_path))
    assert done.exit_code == 1
    assert "job.sh.j2 line 1: 'nope' is undefined" in done.stderr


def test_the_command_tells_its_version(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"jarvice-downstream, version {__version__}\n"
