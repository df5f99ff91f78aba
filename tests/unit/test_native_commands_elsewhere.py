"""The same commands through slurmrestd, and with the local connector."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.harness.command_line import HELLO, CommandLine
from tests.harness.fake_slurmrestd import FakeSlurmrestd, token

# ---- through slurmrestd ----


@pytest.fixture
def by_rest(slurmrestd: FakeSlurmrestd, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, slurmrestd.environment)


def test_through_slurmrestd_a_job_is_sent_with_the_users_own_token(
    by_rest: CommandLine, slurmrestd: FakeSlurmrestd, tmp_path: Path
) -> None:
    mine = token("kirby")
    done = by_rest("submit", tmp_path / "hello.yaml", SLURM_JWT=mine)
    assert (done.exit_code, done.stdout) == (0, "hello is submitted, as job 100\n"), done.stderr
    [sent] = slurmrestd.calls("POST job/submit")
    assert (sent.user, sent.document["job"]["name"]) == ("kirby", HELLO)
    assert by_rest("submit", tmp_path / "hello.yaml", SLURM_JWT=mine).stdout.startswith(
        "hello was submitted before"
    )
    slurmrestd.jobs[100].state, slurmrestd.jobs[100].exit_code = ["FAILED"], 3
    assert by_rest("submit", "--wait", tmp_path / "hello.yaml", SLURM_JWT=mine).exit_code == 3
    [hello] = json.loads(by_rest("status", "hello", "--json").stdout)
    assert (hello["user"], hello["exit_code"]) == ("kirby", 3)
    assert "slurmrestd" in by_rest("logs", "hello").stderr


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        ("", "SLURM_JWT is not set: through slurmrestd a job is sent with its user's own token; `export $("),
        (token("mario"), "SLURM_JWT is a token of mario, and the job's user is kirby"),
        ("nonsense", "SLURM_JWT: is not a JSON Web Token"),
    ],
)
def test_without_the_users_own_token_nothing_is_sent(
    by_rest: CommandLine, slurmrestd: FakeSlurmrestd, tmp_path: Path, mine: str, told: str
) -> None:
    done = by_rest("submit", tmp_path / "hello.yaml", SLURM_JWT=mine)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {told}"), "the file is not to blame"
    assert slurmrestd.calls("POST") == []


def test_who_sends_a_token_that_others_can_read_is_told(by_rest: CommandLine) -> None:
    mine = {"SLURM_JWT": token("kirby"), "JARVICE_SLURMRESTD_ADDR": "http://mg1.invalid"}
    _, told = by_rest.start("submit", by_rest.file, **mine).communicate(timeout=20)
    assert "note: tokens go to http://mg1.invalid unencrypted" in told


# ---- the local connector ----


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_the_local_connector_runs_a_job_for_as_long_as_the_command(
    local: CommandLine, script: str, code: int
) -> None:
    text = local.file.read_text().replace("[echo]", json.dumps(["sh", "-c", f"echo it ran; {script}"]))
    local.file.write_text(text)
    path = f"{local.folder / 'bin'}:{os.environ['PATH']}"
    done = local("submit", "--wait", local.file, PATH=path)
    assert done.exit_code == code, done.stderr
    assert done.stderr[done.stderr.index(" after 00:") :].splitlines()[1] == "it ran", (
        "nothing else can show it"
    )
    assert done.stdout.startswith("hello is submitted, as job ")
    again = local("submit", "--wait", local.file, PATH=path)
    assert again.stdout.startswith("hello is submitted, as job ")
    assert again.stderr.splitlines().count("it ran") == 1, "not the first job's"


@pytest.mark.parametrize("words", [("submit", "hello.yaml"), ("status",), ("logs", "x"), ("cancel", "x")])
def test_what_would_need_another_process_is_refused_with_the_local_connector(
    local: CommandLine, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(local.folder)
    done = local(*words)
    assert done.exit_code == 2
    assert "use submit --wait" in done.stderr
    assert not (local.folder / "state").exists()


@pytest.mark.parametrize("way", ["--held", "held: true\n", "sbatch: {hold: true}\n"])
def test_a_job_that_nobody_could_release_is_refused(local: CommandLine, way: str) -> None:
    options = [way] if way.startswith("--") else []
    if not options:
        local.file.write_text(local.file.read_text() + way)
    done = local("submit", "--wait", *options, local.file)
    assert done.exit_code == 2
    assert "no other command could release the job" in done.stderr
    assert not (local.folder / "state").exists()
