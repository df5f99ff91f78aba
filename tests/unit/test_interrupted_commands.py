"""Commands that a signal ends: what is told, what a script gets, and what becomes of the job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.start import ending_on_signals
from tests.harness.command_line import HELLO, CommandLine
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.waiting import eventually

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("words", [("submit", "--wait", "hello.yaml"), ("logs", "--follow", "hello")])
def test_who_waits_leaves_the_job_alone_and_says_so(
    command: CommandLine, slurm: FakeSlurm, words: tuple[str, ...], number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(command.folder)
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    slurm.command("sbatch", "cat >/dev/null; echo 100")
    process = command.start(*words)
    eventually(lambda: len(slurm.calls("squeue")) > 2, what="a few polls")
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted: hello (job 100) is left as it is; `cancel` ends it"
    assert slurm.calls("scancel") == []


@pytest.mark.parametrize(
    "words", [("status",), ("logs", "hello"), ("logs", "--follow", "hello"), ("cancel", "7")]
)
def test_ctrl_c_while_the_cluster_is_asked_is_no_failure(
    command: CommandLine, slurm: FakeSlurm, words: tuple[str, ...]
) -> None:
    slurm.command("squeue", "sleep 30")
    process = command.start(*words)
    eventually(lambda: slurm.calls("squeue"), what="the question")
    process.send_signal(signal.SIGINT)
    shown, told = process.communicate(timeout=20)
    assert (process.returncode, shown, told.splitlines()[-1]) == (130, "", "interrupted")


def test_ctrl_c_while_a_job_is_sent_says_that_nobody_knows(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.command("sbatch", "sleep 30")
    process = command.start("submit", "--json", command.file)
    eventually(lambda: slurm.calls("sbatch"), what="the submission")
    process.send_signal(signal.SIGINT)
    shown, told = process.communicate(timeout=20)
    assert (process.returncode, shown) == (130, "")
    assert "may be submitted or not; the same command again, 20 s from now, makes sure" in told


def test_a_script_has_the_id_of_a_job_that_it_does_not_wait_for_any_more(
    command: CommandLine, slurm: FakeSlurm
) -> None:
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    slurm.command("sbatch", "cat >/dev/null; echo 100")
    process = command.start("submit", "--wait", "--json", command.file)
    eventually(lambda: len(slurm.calls("squeue")) > 2, what="a few polls")
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(shown) == {"name": "hello", "job_id": "100", "user": "kirby", "new": True}


def test_a_script_has_the_id_of_a_job_that_cannot_be_watched_any_more(
    command: CommandLine, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.native._PATIENCE", 0.3)
    slurm.command("sbatch", "cat >/dev/null; echo 100")
    slurm.command("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    done = command("submit", "--wait", "--json", command.file)
    assert done.exit_code == 75
    assert json.loads(done.stdout) == {"name": "hello", "job_id": "100", "user": "kirby", "new": True}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_job_of_the_local_connector_ends_with_its_command(
    local: CommandLine, number: signal.Signals
) -> None:
    process, running = _local_job(local)
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told.splitlines()[-1].endswith("ends with this command")
    eventually(lambda: not running(), what="the job's end")


def test_a_terminal_that_is_closed_sends_more_than_one_signal(local: CommandLine) -> None:
    process, running = _local_job(local, "trap '' TERM; ")
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
    process.communicate(timeout=20)
    assert process.returncode == 130
    eventually(lambda: not running(), what="the job's end, by force")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_late_changes_nothing_of_an_end(number: signal.Signals) -> None:
    """Between the end of what was opened and that of the process."""
    ending = (
        "import os, signal, sys\n"
        "from pipeline.cli.start import ending_on_signals\n"
        "try:\n"
        "    with ending_on_signals(KeyboardInterrupt):\n"
        "        os.kill(os.getpid(), int(sys.argv[1]))\n"
        "except KeyboardInterrupt:\n"
        "    os.kill(os.getpid(), int(sys.argv[1]))\n"
        "    sys.exit(130)\n"
    )
    assert subprocess.run([sys.executable, "-c", ending, str(int(number))]).returncode == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_was_ignored_stays_so_as_after_nohup(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with ending_on_signals(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def _local_job(local: CommandLine, first: str = "") -> tuple[subprocess.Popen[str], Callable[[], bool]]:
    """A command that waits for a job that is running, and whether it still is."""
    told = local.folder / "pid"
    body = f"{first}echo $$ >{told}.new; mv {told}.new {told}; while :; do sleep 0.1; done"
    local.file.write_text(local.file.read_text().replace("[echo]", json.dumps(["bash", "-c", body])))
    path = f"{local.folder / 'bin'}:{os.environ['PATH']}"
    process = local.start("submit", "--wait", local.file, PATH=path)
    eventually(told.exists, what="the job")
    pid = told.read_text().strip()
    return process, lambda: Path("/proc", pid).exists()
