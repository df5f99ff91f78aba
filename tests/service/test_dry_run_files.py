"""Dry runs of many files: what becomes of each, what is blanked out, and what is written where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.cases import EXAMPLES
from tests.service.test_command_line import run

HELLO = EXAMPLES.parent / "jobs" / "hello.yaml"
EVERYTHING = EXAMPLES.parent / "jobs" / "everything.yaml"
PASSWORD = "hun|ter&2pw\\x"
SPELLINGS = ("hun|ter", r"hun\|ter", r"hun\\|ter")


def spec(file: Path, name: str, *more: str) -> Path:
    file.write_text("\n".join([f"name: {name}", "user: kirby", "image: /x.sif", "command: [echo]", *more]))
    return file


def logins(folder: Path, password: str = PASSWORD) -> dict[str, str]:
    file = folder / "logins.yaml"
    file.touch(mode=0o600)
    login = {"registry": "registry.example.com", "username": "robot", "password": password}
    file.write_text(json.dumps({"registry_logins": {"example": login}}), encoding="ascii")
    return {"JARVICE_DOWNSTREAM_REGISTRY_LOGINS": str(file)}


# ---- each file for itself ----


@pytest.mark.parametrize("command", ["render", "validate"])
@pytest.mark.parametrize(("name", "told"), [("none", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_stops_no_other(
    tmp_path: Path, command: str, name: str, told: str
) -> None:
    done = run(tmp_path, command, name, HELLO)
    assert (done.exit_code, done.stderr) == (2, f"error: {name}: cannot be read: {told}\n")
    assert "hello" in done.stdout


@pytest.mark.parametrize("command", ["render", "validate"])
def test_a_template_that_cannot_be_rendered_for_one_job_stops_no_other(tmp_path: Path, command: str) -> None:
    (tmp_path / "sbatch").mkdir()
    (tmp_path / "sbatch" / "job.sh.j2").write_text("{{ nope if cores == 7 else name }}\n")
    seven = spec(tmp_path / "seven", "seven", "cores: 7")
    wrong = spec(tmp_path / "wrong", "1st")
    templates = {"JARVICE_DOWNSTREAM_TEMPLATES": str(tmp_path)}
    done = run(tmp_path, command, seven, wrong, HELLO, **templates)
    assert done.exit_code == 1, "that of the first fault"
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [str(seven), str(wrong)]
    assert "hello" in done.stdout
    assert run(tmp_path, command, wrong, seven, **templates).exit_code == 2


@pytest.mark.parametrize("command", ["render", "validate"])
def test_settings_that_only_one_job_needs_stop_no_other(tmp_path: Path, command: str) -> None:
    settings = {"JARVICE_DOWNSTREAM_REGISTRY_LOGINS": str(tmp_path / "none.yaml")}
    done = run(tmp_path, command, EVERYTHING, HELLO, **settings)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {EVERYTHING}: ")
    assert "none.yaml" in done.stderr
    assert "hello" in done.stdout


def test_a_script_gets_json_of_what_is_valid(tmp_path: Path) -> None:
    wrong = spec(tmp_path / "wrong", "x", "walltme: '00:10:00'")
    settings = {"JARVICE_DOWNSTREAM_REGISTRY_LOGINS": str(tmp_path / "none.yaml")}
    done = run(tmp_path, "validate", "--json", HELLO, wrong, EVERYTHING, "none", **settings)
    assert done.exit_code == 2
    hello, typo, login, missing = json.loads(done.stdout)
    assert hello == {"file": str(HELLO), "valid": True, "name": "hello", "errors": []}
    told = "line 5: walltme: is not a field; did you mean walltime?"
    assert typo == {"file": str(wrong), "valid": False, "name": None, "errors": [told]}
    assert f"error: {wrong}: {told}\n" in done.stderr
    assert "none.yaml" in login["errors"][0]
    assert missing["errors"] == ["cannot be read: No such file or directory"]


# ---- what is blanked out ----


@pytest.mark.parametrize("words", [(), ("--context",)])
@pytest.mark.parametrize(
    "settings",
    [{}, {"JARVICE_SLURM_INTERFACE": "http"}, {"JARVICE_BAREMETAL_CONNECTOR": "local"}],
    ids=["cli", "http", "local"],
)
def test_no_spelling_of_a_password_is_shown(
    tmp_path: Path, settings: dict[str, str], words: tuple[str, ...]
) -> None:
    settings = {**settings, **logins(tmp_path)}
    done = run(tmp_path, "render", *words, EVERYTHING, **settings)
    assert done.exit_code == 0, done.stderr
    assert not [spelling for spelling in (*SPELLINGS, "2pw") if spelling in done.stdout]
    shown = run(tmp_path, "render", *words, "--show-secrets", EVERYTHING, **settings).stdout
    assert "2pw" in shown, "it is in there"


def test_a_written_file_is_blanked_out_too(tmp_path: Path) -> None:
    settings = {"JARVICE_BAREMETAL_CONNECTOR": "local", **logins(tmp_path)}
    run(tmp_path, "render", "--out", "new", EVERYTHING, **settings)
    [written] = (tmp_path / "new").iterdir()
    assert "********" in written.read_text()
    assert "2pw" not in written.read_text()


# ---- what is written ----


def test_a_file_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    old = tmp_path / "hello.sh"
    old.write_text("old")
    old.chmod(0o644)
    other = tmp_path / "linked"
    other.hardlink_to(old)
    done = run(tmp_path, "render", "--out", ".", HELLO)
    assert (done.exit_code, done.stdout) == (0, "hello.sh\n")
    assert old.stat().st_mode & 0o777 == 0o600
    assert old.read_text().startswith("#!/bin/bash")
    assert other.read_text() == "old", "who has it open does not see the new text"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hello.sh", "linked"]


def test_two_jobs_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    second = spec(tmp_path / "second", "hello")
    done = run(tmp_path, "render", "--out", "new", HELLO, second)
    assert done.exit_code == 2
    assert (
        done.stderr == f"error: {second}: new/hello.sh is already that of {HELLO}, a job of the same name\n"
    )
    assert "hello from a container" in (tmp_path / "new" / "hello.sh").read_text()
    assert run(tmp_path, "render", "--out", "new", HELLO).exit_code == 0, "another run may"


def test_what_cannot_be_written_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "new" / "hello.sh").mkdir(parents=True)
    done = run(tmp_path, "render", "--out", "new", HELLO, EXAMPLES / "hello.json")
    assert done.exit_code == 2
    assert done.stderr == f"error: {HELLO}: cannot write new/hello.sh: Is a directory\n"
    name = json.loads((EXAMPLES / "hello.json").read_text())["name"]
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"hello.sh", f"{name}.sh"}
