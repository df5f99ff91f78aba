"""Standard output that is closed or full, standard input in place of a file, and Ctrl-C at the very start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli.commands import commands
from tests.harness.command_line import HELLO, PROGRAM, SPEC, CommandLine
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.ssh_server import SshServer
from tests.harness.waiting import eventually


def in_shell(command: CommandLine, line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in the command's folder, in which ``$program`` is the command."""
    environment = {"PATH": os.environ["PATH"], "program": str(PROGRAM), **command.settings}
    return subprocess.run(
        ["/bin/bash", "-c", line], cwd=command.folder, env=environment,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was said on standard error, but for the host key that is new to each test."""
    return [line for line in done.stderr.splitlines() if not line.startswith("note: host key ")]


# ---- standard output ----


@pytest.mark.parametrize("streams", ["", "2>&1"])
def test_who_reads_no_further_ends_the_command_quietly_and_not_the_job(
    command: CommandLine, slurm: FakeSlurm, server: SshServer, streams: str
) -> None:
    output = server.home("kirby") / ".jarvice" / "kirby+hello.out"
    output.parent.mkdir()
    output.write_text("one\n")
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    grows = f"(while sleep 0.1; do echo more >>{output}; done) & trap 'kill $!' EXIT;"
    line = f"{grows} $program logs --follow hello {streams} | head -1; exit ${{PIPESTATUS[0]}}"
    done = in_shell(command, line)
    assert done.returncode == 141
    assert told(done) == ([] if streams else ["hello (job 100): RUNNING on n1"])
    assert slurm.calls("scancel") == []


@pytest.mark.parametrize("words", ["status", "logs hello", "settings", "validate hello.yaml", "cancel hello"])
def test_a_full_disk_is_one_line(
    command: CommandLine, slurm: FakeSlurm, server: SshServer, words: str
) -> None:
    output = server.home("kirby") / ".jarvice" / "kirby+hello.out"
    output.parent.mkdir()
    output.write_text("one\n")
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    done = in_shell(command, f"$program {words} >/dev/full")
    assert done.returncode == 1
    [line] = told(done)
    assert line.startswith("error: ")
    assert line.endswith("standard output cannot be written: No space left on device")


@pytest.mark.parametrize("words", ["status", "settings", "validate hello.yaml"])
def test_where_nothing_can_be_put_out_is_one_line(command: CommandLine, slurm: FakeSlurm, words: str) -> None:
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    done = in_shell(command, f"$program {words} >&-")
    assert done.returncode == 1
    [line] = told(done)
    assert line.endswith("standard output cannot be written: it is closed")


# ---- standard input ----


def test_a_closed_standard_input_is_one_line(command: CommandLine) -> None:
    done = in_shell(command, "$program validate - <&-")
    assert (done.returncode, told(done)) == (
        2,
        ["error: standard input: cannot be read: Bad file descriptor"],
    )


def test_a_spec_can_come_from_standard_input(command: CommandLine, slurm: FakeSlurm) -> None:
    (command.folder / "-").write_text("not this one")
    done = in_shell(command, "$program submit --json - <hello.yaml")
    assert json.loads(done.stdout)["name"] == "hello", done.stderr
    done = in_shell(command, "(cat hello.yaml; echo walltme: 1) | $program submit -")
    assert done.returncode == 2
    assert told(done) == ["error: standard input: line 5: walltme: is not a field; did you mean walltime?"]
    assert len(slurm.calls("sbatch")) == 1


def test_a_dry_run_reads_standard_input_beside_files(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(SPEC.replace("hello", "other"))
    other = str(tmp_path / "other.yaml")
    run = CliRunner()
    assert run.invoke(commands, ["render", "-"], input=SPEC).stdout.startswith("#!/bin/bash\n")
    done = run.invoke(commands, ["validate", other, "-"], input=SPEC)
    assert done.stdout == f"{other}: valid, job other\nstandard input: valid, job hello\n"
    done = run.invoke(commands, ["validate", "--json", "-"], input=b"\xff")
    assert [(one["file"], one["errors"]) for one in json.loads(done.stdout)] == [("-", ["is not UTF-8 text"])]
    assert done.stderr == "error: standard input: is not UTF-8 text\n"


# ---- Ctrl-C ----


def test_ctrl_c_while_python_still_reads_the_program_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(30)\n")
    process = subprocess.Popen(
        [str(PROGRAM), "--version"], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    eventually((tmp_path / "begun").exists, what="the imports")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "interrupted\n")
    assert process.returncode == 130
