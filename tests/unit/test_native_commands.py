"""submit, status, logs, cancel, release, as a person and a script see them; Slurm is fakes behind SSH."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.harness.command_line import HELLO, SPEC, CommandLine
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.service import free_port
from tests.harness.ssh_server import SshServer

SUBMITTED_BEFORE = (
    "hello was submitted before, as job 100; nothing new is started. Another run needs another name: --name\n"
)


def goes_through(slurm: FakeSlurm, *states: str) -> None:
    """Let squeue show job 100 in one state after the other, and stay in the last one."""
    words = shlex.join(states)
    slurm.command(
        "squeue",
        f"""
        case "$*" in *--jobs=*) echo 100 3:0; exit ;; esac
        states=({words}); n=$(grep -c -e --format "$jobs.calls")
        [ "$n" -le {len(states)} ] || n={len(states)}
        for word; do case "$word" in --format=*) form="${{word#*=}}" ;; esac; done
        mark="${{form%%|*}}"; state="${{states[n - 1]}}"; reason=None
        case "$state" in *'('*) reason="${{state#*(}}"; reason="${{reason%)}}" ;; esac
        echo "$mark|100|kirby|${{state%%(*}}|0:05|n1|$reason|$mark:{HELLO}|$mark:(null)"
        """,
    )


# ---- submit ----


def test_a_spec_is_submitted_as_its_user_once(command: CommandLine, slurm: FakeSlurm) -> None:
    done = command("submit", command.file)
    assert (done.exit_code, done.stdout) == (0, "hello is submitted, as job 100\n")
    done = command("submit", command.file)
    assert (done.exit_code, done.stdout) == (0, SUBMITTED_BEFORE)
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
    assert done.stderr.startswith("error: --name: '1st' is not a name"), "the file is not to blame"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SPEC + "walltme: '00:10:00'\n", "line 5: walltme: is not a field; did you mean walltime?"),
        ("name: [", "is neither YAML nor JSON: line 1, column 8: "),
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


def test_a_user_whose_jobs_cannot_be_sent_is_told(command: CommandLine, slurm: FakeSlurm) -> None:
    command.file.write_text(SPEC.replace("kirby", "bowser"))
    done = command("submit", command.file)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: the cluster's user 'bowser' is not in the users id mapping, so no")
    assert slurm.calls("sbatch") == []


@pytest.mark.parametrize(("name", "told"), [("none", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_told(command: CommandLine, name: str, told: str) -> None:
    done = command("submit", name)
    assert (done.exit_code, done.stderr) == (2, f"error: {name}: cannot be read: {told}\n")


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


@pytest.mark.parametrize(
    ("words", "helps"),
    [(["submit", "--wait"], True), (["submit"], False), (["status"], False), (["cancel"], False)],
)
def test_the_local_connector_is_advised_where_it_can_do_this(
    command: CommandLine, words: list[str], helps: bool
) -> None:
    done = command(*words, command.file, JARVICE_SLURM_CLUSTER_ADDR="")
    assert done.exit_code == 2
    assert ("JARVICE_BAREMETAL_CONNECTOR=local" in done.stderr) is helps


@pytest.mark.parametrize("words", [("status",), ("logs", "hello"), ("cancel", "hello")])
def test_a_fault_in_a_sites_template_stops_submissions_only(
    command: CommandLine, slurm: FakeSlurm, output: Path, words: tuple[str, ...]
) -> None:
    (command.folder / "sbatch").mkdir()
    (command.folder / "sbatch" / "job.sh.j2").write_text("{% if %}")
    templates = {"JARVICE_DOWNSTREAM_TEMPLATES": str(command.folder)}
    done = command("submit", command.file, **templates)
    assert done.exit_code == 2
    assert "job.sh.j2" in done.stderr
    output.touch()
    slurm.set_jobs(f"100|kirby|RUNNING|{HELLO}")
    done = command(*words, **templates)
    assert (done.exit_code, done.stderr) == (0, "")


# ---- submit --wait ----


@pytest.mark.parametrize(("end", "code"), [("COMPLETED", 0), ("FAILED", 3), ("TIMEOUT", 1), ("CANCELLED", 1)])
def test_who_waits_sees_the_states_and_ends_as_the_job(
    command: CommandLine, slurm: FakeSlurm, end: str, code: int
) -> None:
    goes_through(slurm, "PENDING", "PENDING(PartitionTimeLimit)", "RUNNING", "RUNNING", end)
    done = command("submit", "--wait", command.file)
    assert (done.exit_code, done.stdout) == (code, "hello is submitted, as job 100\n")
    told = f"{end} after 00:00:05" + (f", exit code {code}" if end in ("COMPLETED", "FAILED") else "")
    assert done.stderr.splitlines() == [
        f"hello (job 100): {state}"
        for state in ("PENDING", "PENDING (PartitionTimeLimit)", "RUNNING on n1", told)
    ]


def test_a_script_that_waits_gets_the_end_as_json(command: CommandLine, slurm: FakeSlurm) -> None:
    goes_through(slurm, "RUNNING", "FAILED")
    done = command("submit", "--wait", "--json", command.file)
    assert json.loads(done.stdout) == {
        "name": "hello", "job_id": "100", "user": "kirby", "new": True, "state": "FAILED", "phase": "ended",
        "elapsed": 5, "exit_code": 3, "nodes": ["n1"], "reason": "",
    }  # fmt: skip


def test_who_waits_again_for_a_job_that_slurm_has_forgotten_gets_its_end(
    command: CommandLine, slurm: FakeSlurm
) -> None:
    command("submit", command.file)
    slurm.set_jobs()
    slurm.command("sacct", f"echo '100|kirby|FAILED|00:00:05|n1|0:9|{HELLO}'")
    done = command("submit", "--wait", command.file)
    assert (done.exit_code, done.stdout) == (137, SUBMITTED_BEFORE)


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


def test_why_a_job_waits_is_shown(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.set_jobs(f"100|kirby|PENDING(PartitionTimeLimit)|{HELLO}", "101|mario|RUNNING(None)|jarvice_:b")
    _, waits, runs = command("status").stdout.splitlines()
    assert " kirby  PENDING (PartitionTimeLimit)  00:00:05 " in waits
    assert " mario  RUNNING   " in runs
    jobs = json.loads(command("status", "--json").stdout)
    assert [(job["state"], job["reason"]) for job in jobs] == [
        ("PENDING", "PartitionTimeLimit"), ("RUNNING", ""),
    ]  # fmt: skip


def test_the_status_of_some(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.set_jobs(
        f"100|kirby|COMPLETED|{HELLO}", "101|mario|RUNNING|jarvice_:b", "102|kirby|RUNNING|jarvice_:b"
    )
    [hello] = json.loads(command("status", "--json", "hello").stdout)
    assert hello == {
        "name": "hello", "job_id": "100", "user": "kirby", "state": "COMPLETED", "phase": "ended",
        "elapsed": 5, "exit_code": 0, "nodes": ["n1"], "reason": "",
    }  # fmt: skip
    done = command("status", "101", "b", "hullo", "a b")
    assert done.exit_code == 2
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ID", "101"]
    assert done.stderr.splitlines() == [
        "error: several users have a job b: 101 (mario), 102 (kirby); say the id or the user",
        "error: there is no native job hullo; did you mean hello?",
        "error: 'a b' is neither a job's name nor its id",
    ]


def test_of_a_name_that_several_users_have_one_users_is_meant(
    command: CommandLine, slurm: FakeSlurm, server: SshServer
) -> None:
    slurm.set_jobs(
        f"101|mario|RUNNING|{HELLO}", "102|mario|PENDING|jarvice_:b", "103|kirby|PENDING|jarvice_:b"
    )
    over = f"100|kirby|FAILED|00:00:05|n1|3:0|{HELLO}"
    slurm.command("sacct", f"[[ $* != *--name={HELLO}* ]] || echo '{over}'")
    for user, ids in (("kirby", ["100", "103"]), ("mario", ["101", "102"])):
        jobs = json.loads(command("status", "--json", "--user", user, "hello", "b").stdout)
        assert [(job["job_id"], job["user"]) for job in jobs] == [(job_id, user) for job_id in ids]
    assert [job["job_id"] for job in json.loads(command("status", "--json", "--user", "mario").stdout)] == [
        "101", "102",
    ]  # fmt: skip
    for name in ("kirby", "mario"):
        (server.home(name) / ".jarvice").mkdir()
        (server.home(name) / ".jarvice" / f"{name}+hello.out").write_text(f"{name}'s\n")
        assert command("logs", "--user", name, "hello").stdout == f"{name}'s\n"
    done = command("cancel", "--user", "kirby", "hello")
    assert done.stdout == "hello (job 100 of kirby) has ended already: FAILED\n"
    assert slurm.calls("scancel") == [], "mario's is left alone"
    assert command("release", "--user", "mario", "b").stdout == "b (job 102 of mario) is released\n"
    done = command("cancel", "--user", "kirby", "101", "b")
    assert done.stderr == "error: there is no native job 101 of kirby\n"
    assert slurm.calls("scancel") == ["jarvice scancel 103"]


# ---- logs ----


@pytest.fixture
def output(server: SshServer) -> Path:
    file = server.home("kirby") / ".jarvice" / "kirby+hello.out"
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
    waits = ["PENDING(JobHeldUser)", "PENDING(JobHeldUser)", "PENDING(Priority)", "PENDING(Resources)"]
    goes_through(slurm, *waits, "RUNNING", "RUNNING", "FAILED")
    done = command("logs", "--follow", "--lines", "2", "hello")
    assert (done.exit_code, done.stdout) == (0, "line 3\nline 4\n")
    assert done.stderr.splitlines() == [
        "hello (job 100): PENDING (JobHeldUser)", "hello (job 100): PENDING (Priority)",
        "hello (job 100): RUNNING on n1", "hello (job 100): FAILED after 00:00:05, exit code 3",
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
    assert done.stdout == f"hello (job 100 of kirby) {said}\n"
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


def test_a_script_gets_json_of_what_was_done(command: CommandLine, slurm: FakeSlurm) -> None:
    slurm.set_jobs(
        f"100|kirby|RUNNING|{HELLO}", "101|mario|FAILED|jarvice_:b", "102|mario|PENDING|jarvice_:c"
    )
    hello, b, c = (
        {"name": name, "job_id": job_id, "user": user}
        for name, job_id, user in (("hello", "100", "kirby"), ("b", "101", "mario"), ("c", "102", "mario"))
    )
    done = command("cancel", "--json", "hello", "none", "b")
    assert (done.exit_code, done.stderr) == (2, "error: there is no native job none\n")
    assert json.loads(done.stdout) == [
        {**hello, "cancelled": True, "state": "RUNNING"},
        {**b, "cancelled": False, "state": "FAILED"},
    ]
    done = command("release", "--json", "hello", "c")
    assert (done.exit_code, done.stderr) == (2, "error: hello is RUNNING: it does not wait\n")
    assert json.loads(done.stdout) == [
        {**hello, "released": False, "state": "RUNNING"},
        {**c, "released": True, "state": "PENDING"},
    ]
    slurm.command("scancel", "echo 'scancel: error: Access/permission denied' >&2; exit 1")
    done = command("cancel", "--json", "hello")
    assert done.exit_code == 1
    assert [job["cancelled"] for job in json.loads(done.stdout)] == [False]
