"""submit, status, logs, cancel, release, as a person and a script see them; Slurm is fakes behind SSH."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from pipeline.cli import main
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.fake_slurmrestd import FakeSlurmrestd, token
from tests.harness.service import free_port
from tests.harness.ssh_server import SshServer
from tests.harness.waiting import eventually
from tests.unit.conftest import KEY

SPEC = "name: hello\nuser: kirby\nimage: /images/app.sif\ncommand: [echo]\n"
HELLO = "jarvice_:hello"


class CommandLine:
    """The command in a folder with ``hello.yaml``, with settings and nothing else in its environment."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.settings = {
            "JARVICE_DOWNSTREAM_STATE_DIR": str(folder / "state"),
            "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1",
            **settings,
        }
        self.file = folder / "hello.yaml"
        self.file.write_text(SPEC)

    def __call__(self, *words: object, **settings: str) -> Result:
        environment = {**dict.fromkeys(os.environ), **self.settings, **settings}
        environment["PATH"] = settings.get("PATH", os.environ["PATH"])
        return CliRunner().invoke(
            main, [str(word) for word in words], env=environment, catch_exceptions=False
        )

    def start(self, *words: object) -> subprocess.Popen[str]:
        """The command as a process of its own, for signals."""
        program = Path(sys.executable).with_name("jarvice-downstream")
        return subprocess.Popen(
            [str(program), *map(str, words)], env={**self.settings, "PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    return FakeSlurm(tmp_path / "slurm")


@pytest.fixture
def command(server: SshServer, slurm: FakeSlurm, tmp_path: Path) -> CommandLine:
    """With kirby and mario in the users id mapping."""
    entries = [
        {"user": user, "jarvice_user": user, "mail": f"{user}@example.com", "mapped_user": user,
         "ssh_private_key_b64": b64encode(KEY.encode()).decode()}
        for user in ("kirby", "mario")
    ]  # fmt: skip
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(yaml.safe_dump({"users_id_mapping": entries}))
    return CommandLine(
        tmp_path,
        {
            "JARVICE_SLURM_CLUSTER_ADDR": "127.0.0.1",
            "JARVICE_SLURM_CLUSTER_PORT": str(server.port),
            "JARVICE_SLURM_SSH_PKEY": KEY,
            "JARVICE_SLURM_BIN_DIR": str(slurm.folder),
            "JARVICE_USERS_ID_MAPPING": str(mapping),
        },
    )


def goes_through(slurm: FakeSlurm, *states: str) -> None:
    """Let squeue show job 100 in one state after the other, and stay in the last one."""
    words = " ".join(states)
    slurm.command(
        "squeue",
        f"""
        case "$*" in *--jobs=*) echo 100 3:0; exit ;; esac
        states=({words}); n=$(grep -c -e --format "$jobs.calls")
        [ "$n" -le {len(states)} ] || n={len(states)}
        for word; do case "$word" in --format=*) form="${{word#*=}}" ;; esac; done
        echo "${{form%%|*}}|100|kirby|${{states[n - 1]}}|0:05|n1|{HELLO}"
        """,
    )


# ---- submit ----


def test_a_spec_is_submitted_as_its_user_once(command: CommandLine, slurm: FakeSlurm) -> None:
    done = command("submit", command.file)
    assert (done.exit_code, done.stdout) == (0, "hello is submitted, as job 100\n")
    done = command("submit", command.file)
    assert (done.exit_code, done.stdout) == (0, "hello was submitted before, as job 100\n")
    assert slurm.calls("sbatch") == ["kirby sbatch --parsable"]


def test_a_script_gets_json(command: CommandLine) -> None:
    answers = [json.loads(command("submit", "--json", command.file).stdout) for _ in range(2)]
    hello = {"name": "hello", "job_id": "100", "user": "kirby"}
    assert answers == [{**hello, "new": True}, {**hello, "new": False}]


def test_name_and_hold_can_come_from_the_command_line(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.command("sbatch", 'cat >"$jobs.script"; echo 100')
    assert command("submit", "--name", "other", "--held", command.file).stdout.startswith(
        "other is submitted"
    )
    script = (slurm.folder / "jobs.script").read_text()
    assert "#SBATCH --job-name=jarvice_:other\n" in script
    assert "#SBATCH --hold\n" in script
    done = command("submit", "--name", "1st", command.file)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {command.file}: name: '1st' is not a name")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SPEC + "walltme: '00:10:00'\n", "line 5: walltme: is not a field; did you mean walltime?"),
        ("name: [", "is neither YAML nor JSON: line 1, column 8: "),
        (
            SPEC.replace("kirby", "bowser"),
            "the cluster's user 'bowser' is not in the users id mapping, so no job",
        ),
        ("hpc_script: {}\n", "is a form of the upstream, and no native job spec"),
        (SPEC.replace("user: kirby\n", ""), "user is missing"),
    ],
)
def test_what_the_caller_has_to_change_is_told_with_the_file_and_nothing_is_sent(
    command: CommandLine, slurm: FakeSlurm, text: str, told: str
) -> None:
    command.file.write_text(text)
    done = command("submit", command.file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {command.file}: {told}")
    assert slurm.calls("sbatch") == []


def test_a_file_that_is_not_there_is_told(command: CommandLine) -> None:
    done = command("submit", "none.yaml")
    assert done.exit_code == 2
    assert "none.yaml" in done.stderr


def test_a_refusal_is_told_in_slurms_words(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.command("sbatch", "echo 'sbatch: error: Invalid partition name specified' >&2; exit 1")
    done = command("submit", command.file)
    assert done.exit_code == 1
    assert done.stderr == "error: sbatch: Invalid partition name specified\n"


@pytest.mark.parametrize("words", [("submit", "hello.yaml"), ("status",), ("logs", "hello"), ("cancel", "7")])
def test_without_a_cluster_the_exit_code_says_try_again(
    command: CommandLine, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(command.folder)
    done = command(*words, JARVICE_SLURM_CLUSTER_PORT=str(free_port()))
    assert (done.exit_code, done.stdout) == (75, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_settings_that_do_not_allow_it_are_told_all_at_once(command: CommandLine) -> None:
    done = command("status", JARVICE_SLURM_CLUSTER_ADDR="", JARVICE_USERS_ID_MAPPING="none.yaml")
    assert done.exit_code == 2
    assert "JARVICE_SLURM_CLUSTER_ADDR is missing" in done.stderr
    assert "none.yaml: cannot be read" in done.stderr


# ---- submit --wait ----


@pytest.mark.parametrize(("end", "code"), [("COMPLETED", 0), ("FAILED", 3), ("TIMEOUT", 1), ("CANCELLED", 1)])
def test_who_waits_sees_the_states_and_ends_as_the_job(
    command: CommandLine, slurm: FakeSlurm, end: str, code: int
) -> None:
    goes_through(slurm, "PENDING", "RUNNING", "RUNNING", end)
    done = command("submit", "--wait", command.file)
    assert (done.exit_code, done.stdout) == (code, "hello is submitted, as job 100\n")
    told = f"{end} after 00:00:05" + (f", exit code {code}" if end in ("COMPLETED", "FAILED") else "")
    assert done.stderr.splitlines() == [
        f"hello (job 100): {state}" for state in ("PENDING", "RUNNING on n1", told)
    ]


def test_a_script_that_waits_gets_the_end_as_json(command: CommandLine, slurm: FakeSlurm) -> None:
    goes_through(slurm, "RUNNING", "FAILED")
    done = command("submit", "--wait", "--json", command.file)
    assert json.loads(done.stdout) == {
        "name": "hello", "job_id": "100", "user": "kirby", "new": True, "state": "FAILED", "phase": "ended",
        "elapsed": 5, "exit_code": 3, "nodes": ["n1"],
    }  # fmt: skip


def test_who_waits_again_for_a_job_that_slurm_has_forgotten_gets_its_end(
    command: CommandLine, slurm: FakeSlurm
) -> None:
    command("submit", command.file)
    slurm.set_jobs()
    slurm.command("sacct", f"echo '100|kirby|FAILED|00:00:05|n1|0:9|{HELLO}'")
    done = command("submit", "--wait", command.file)
    assert (done.exit_code, done.stdout) == (137, "hello was submitted before, as job 100\n")


@pytest.mark.parametrize("words", [("submit", "--wait", "hello.yaml"), ("logs", "--follow", "hello")])
def test_ctrl_c_leaves_the_job_alone_and_says_so(
    command: CommandLine, slurm: FakeSlurm, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(command.folder)
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    slurm.command("sbatch", "cat >/dev/null; echo 100")
    process = command.start(*words)
    eventually(lambda: len(slurm.calls("squeue")) > 2, what="a few polls")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "interrupted: hello (job 100) is left as it is; `cancel` ends it"
    assert slurm.calls("scancel") == []


# ---- status ----


def test_the_status_of_all_native_jobs(command: CommandLine, slurm: FakeSlurm) -> None:
    done = command("status")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "there are no native jobs\n")
    assert json.loads(command("status", "--json").stdout) == []
    slurm.set_jobs(
        f"100|kirby|FAILED|{HELLO}", "101|mario|RUNNING|jarvice_:render-7", "102|mario|RUNNING|jarvice_2024-x"
    )
    done = command("status")
    assert done.stdout.splitlines() == [
        "ID   NAME      USER   STATE    TIME      EXIT  NODES",
        "100  hello     kirby  FAILED   00:00:05  3     n1",
        "101  render-7  mario  RUNNING  00:00:05        n1",
    ]


def test_the_status_of_some(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.set_jobs(
        f"100|kirby|COMPLETED|{HELLO}", "101|mario|RUNNING|jarvice_:b", "102|kirby|RUNNING|jarvice_:b"
    )
    [hello] = json.loads(command("status", "--json", "hello").stdout)
    assert hello == {
        "name": "hello", "job_id": "100", "user": "kirby", "state": "COMPLETED", "phase": "ended",
        "elapsed": 5, "exit_code": 0, "nodes": ["n1"],
    }  # fmt: skip
    done = command("status", "101", "b", "hullo", "a b")
    assert done.exit_code == 2
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ID", "101"]
    assert done.stderr.splitlines() == [
        "error: several users have a job b: 101 (mario), 102 (kirby); say the id",
        "error: there is no native job hullo; did you mean hello?",
        "error: 'a b' is neither a job's name nor its id",
    ]


# ---- logs ----


@pytest.fixture
def output(server: SshServer) -> Path:
    file = server.home("kirby") / ".jarvice" / "hello.out"
    file.parent.mkdir()
    return file


def test_the_output_of_a_job_as_it_is(command: CommandLine, slurm: FakeSlurm, output: Path) -> None:
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    done = command("logs", "hello")
    assert (done.exit_code, done.stdout) == (75, "")
    assert done.stderr == "error: hello is RUNNING: it has no output yet\n"
    data = bytes(range(256)) + b"\none\ntwo\n"
    output.write_bytes(data)
    assert command("logs", "hello").stdout_bytes == command("logs", "100").stdout_bytes == data
    assert command("logs", "--lines", "1", "hello").stdout == "two\n"
    assert command("logs", "--lines", "-1", "hello").exit_code == 2


def test_an_ended_job_without_output_is_no_reason_to_try_again(
    command: CommandLine, slurm: FakeSlurm
) -> None:
    slurm.set_jobs(f"100|kirby|CANCELLED|{HELLO}")
    assert command("logs", "hello").exit_code == 2


def test_output_is_followed_to_the_jobs_end(command: CommandLine, slurm: FakeSlurm, output: Path) -> None:
    output.write_text("".join(f"line {number}\n" for number in range(5)))
    goes_through(slurm, "PENDING", "PENDING", "RUNNING", "RUNNING", "FAILED")
    done = command("logs", "--follow", "--lines", "2", "hello")
    assert (done.exit_code, done.stdout) == (0, "line 3\nline 4\n")
    assert done.stderr.splitlines() == [
        "hello (job 100): PENDING", "hello (job 100): RUNNING on n1",
        "hello (job 100): FAILED after 00:00:05, exit code 3",
    ]  # fmt: skip


# ---- cancel and release ----


@pytest.mark.parametrize(
    ("word", "state", "said", "call"),
    [
        ("cancel", "RUNNING", "is cancelled", "jarvice scancel 100"),
        ("release", "PENDING", "is released", "jarvice scontrol release 100"),
        ("cancel", "FAILED", "has ended already: FAILED", None),
    ],
)
def test_jobs_are_ended_and_released(
    command: CommandLine, slurm: FakeSlurm, output: Path, word: str, state: str, said: str, call: str | None
) -> None:
    output.touch()
    slurm.set_jobs(f"100|kirby|{state}|{HELLO}")
    done = command(word, "none", "hello")
    assert done.exit_code == 2
    assert done.stdout == f"hello (job 100) {said}\n"
    assert done.stderr == "error: there is no native job none\n"
    assert slurm.calls("scancel") + slurm.calls("scontrol") == ([call] if call else [])
    assert output.exists()


def test_what_slurm_does_not_allow_is_told(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.set_jobs(f"100|kirby|PENDING|{HELLO}", "101|kirby|RUNNING|jarvice_:b")
    slurm.command("scontrol", "echo 'slurm_suspend error: Access/permission denied' >&2; exit 1")
    done = command("release", "hello", "b")
    assert done.exit_code == 1
    assert "permission denied" in done.stderr
    assert "error: b is RUNNING: it does not wait" in done.stderr


# ---- through slurmrestd ----


@pytest.fixture
def rest() -> Iterator[FakeSlurmrestd]:
    fake = FakeSlurmrestd()
    yield fake
    fake.stop()


@pytest.fixture
def by_rest(rest: FakeSlurmrestd, tmp_path: Path) -> Callable[..., Result]:
    return CommandLine(
        tmp_path,
        {
            "JARVICE_SLURM_INTERFACE": "http",
            "JARVICE_SLURMRESTD_ADDR": "http://127.0.0.1",
            "JARVICE_SLURMRESTD_PORT": str(rest.port),
            "JARVICE_SLURMRESTD_ROUTE": "direct",
            "JARVICE_SLURM_SERVICE_TOKEN": token("jarvice"),
            "JARVICE_SLURM_USER_HOME": "/home/%u",
        },
    )


def test_through_slurmrestd_a_job_is_sent_with_the_users_own_token(
    by_rest: Callable[..., Result], rest: FakeSlurmrestd, tmp_path: Path
) -> None:
    mine = token("kirby")
    done = by_rest("submit", tmp_path / "hello.yaml", SLURM_JWT=mine)
    assert (done.exit_code, done.stdout) == (0, "hello is submitted, as job 100\n"), done.stderr
    [sent] = rest.calls("POST job/submit")
    assert (sent.user, sent.document["job"]["name"]) == ("kirby", HELLO)
    assert by_rest("submit", tmp_path / "hello.yaml", SLURM_JWT=mine).stdout.startswith(
        "hello was submitted before"
    )
    rest.jobs[100].state, rest.jobs[100].exit_code = ["FAILED"], 3
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
    by_rest: Callable[..., Result], rest: FakeSlurmrestd, tmp_path: Path, mine: str, told: str
) -> None:
    done = by_rest("submit", tmp_path / "hello.yaml", SLURM_JWT=mine)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {tmp_path / 'hello.yaml'}: {told}")
    assert rest.calls("POST") == []


# ---- the local connector ----

APPTAINER = r"""#!/bin/bash
# Runs the command here: no container, but what a container gets.
while [ "$1" != exec ]; do shift; done
shift
while [[ $1 == --* ]]; do case $1 in --bind | --overlay | --pwd) shift 2 ;; *) shift ;; esac; done
exec "${@:2}"
"""


@pytest.fixture
def local(tmp_path: Path) -> CommandLine:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apptainer").write_text(APPTAINER)
    (tmp_path / "bin" / "apptainer").chmod(0o755)
    command = CommandLine(tmp_path, {"JARVICE_BAREMETAL_CONNECTOR": "local"})
    command.file.write_text(SPEC.replace("/images/app.sif", str(command.file)) + "overlay_mb: 0\n")
    return command


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_the_local_connector_runs_a_job_for_as_long_as_the_command(
    local: CommandLine, script: str, code: int
) -> None:
    text = local.file.read_text().replace("[echo]", json.dumps(["sh", "-c", f"echo it ran; {script}"]))
    local.file.write_text(text)
    path = f"{local.folder / 'bin'}:{os.environ['PATH']}"
    done = local("submit", "--wait", local.file, PATH=path)
    assert done.exit_code == code, done.stderr
    assert (local.folder / "state/local/.jarvice/hello.out").read_text().startswith("it ran\n")
    assert local("submit", "--wait", local.file, PATH=path).stdout.startswith("hello is submitted, as job ")


@pytest.mark.parametrize("words", [("submit", "hello.yaml"), ("status",), ("logs", "x"), ("cancel", "x")])
def test_what_would_need_another_process_is_refused_with_the_local_connector(
    local: CommandLine, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(local.folder)
    done = local(*words)
    assert done.exit_code == 2
    assert "use submit --wait" in done.stderr
    assert not (local.folder / "state").exists()
