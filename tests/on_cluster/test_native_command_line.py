"""Native jobs from the command line on a real Slurm: submitted, watched, followed, ended."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.cluster import Cluster
from tests.harness.forms import job_name
from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.harness.waiting import eventually
from tests.on_cluster.outage import away, forgetful
from tests.on_cluster.ways import also_managed, only_cli, only_http

_PROGRAM = Path(sys.executable).with_name("jarvice-downstream")


class CommandLine:
    """The installed command in a folder of its own, as a user of the cluster has it."""

    def __init__(self, cluster: Cluster, interface: Interface, folder: Path) -> None:
        if cluster.variant == "bookworm":
            pytest.skip("bookworm has no apptainer")
        interface.write_mapping(folder)
        registry = cluster.info["registry"]
        login = {"registry": "head:5443", "username": registry["user"], "password": registry["password"]}
        logins = folder / "logins.yaml"
        logins.touch(mode=0o600)
        logins.write_text(yaml.safe_dump({"registry_logins": {"lab": login}}))
        self.folder = folder
        self.interface = interface
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.5",
            "JARVICE_DOWNSTREAM_REGISTRY_LOGINS": str(logins),
            "SLURM_JWT": cluster.token("kirby"),
            **interface.settings,
        }

    def __call__(self, *words: object, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(*words, **settings)
        out, told = process.communicate(timeout=120)
        return subprocess.CompletedProcess([*map(str, words)], process.returncode, out, told)

    def start(self, *words: object, **settings: str) -> subprocess.Popen[str]:
        """Start it."""
        return subprocess.Popen(
            [str(_PROGRAM), *map(str, words)], cwd=self.folder, env={**self.environment, **settings},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def spec(self, script: str, **more: Any) -> str:
        """Write a spec of the busybox image; gives the job's name, whose file is ``<name>.yaml``."""
        name = str(more.pop("name", f"line-{secrets.token_hex(4)}"))
        spec = {
            "name": name, "user": "kirby", "image": "head:5443/nintendo/busybox:1", "credentials": "lab",
            "overlay_mb": 0, "walltime": "00:10:00", "script": script, **more,
        }  # fmt: skip
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(spec))
        return name

    def submitted(self, script: str, **more: Any) -> str:
        """Submit a job; gives its name."""
        name = self.spec(script, **more)
        done = self("submit", f"{name}.yaml")
        assert done.returncode == 0, done.stderr
        return name

    def pulled(self) -> None:
        """Have the image, so that no job says that it pulls it."""
        name = self.spec("true")
        assert self("submit", "--wait", f"{name}.yaml").returncode == 0

    def status(self, job: str) -> dict[str, Any]:
        """What ``status --json`` says of a job."""
        done = self("status", "--json", job)
        assert done.returncode == 0, done.stderr
        [found] = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def until(self, job: str, phase: str) -> dict[str, Any]:
        """The job when it has got there."""

        def found() -> dict[str, Any] | None:
            for job_found in json.loads(self("status", "--json", job).stdout):
                if job_found["phase"] == phase:
                    return dict(job_found)
            return None

        return eventually(found, what=f"{job} {phase}")


@pytest.fixture
def command(interface: Interface, cluster: Cluster, tmp_path: Path) -> CommandLine:
    return CommandLine(cluster, interface, tmp_path)


@also_managed
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_who_waits_ends_with_the_jobs_own_exit_code(command: CommandLine, script: str, code: int) -> None:
    name = command.spec(f"sleep 1; {script}")
    done = command("submit", "--wait", f"{name}.yaml")
    assert done.returncode == code, done.stderr
    states = [line.split(": ", 1)[1] for line in done.stderr.splitlines() if line.startswith(name)]
    assert states[-1].endswith(f", exit code {code}")
    assert command.status(name)["exit_code"] == code
    done = command("submit", "--wait", f"{name}.yaml")
    assert (done.returncode, done.stdout.split(", ")[0]) == (code, f"{name} was submitted before")


@also_managed
def test_a_batch_script_that_a_signal_ends_and_jobs_that_slurm_ends(
    command: CommandLine, cluster: Cluster
) -> None:
    killed, cancelled = command.spec("sleep 300"), command.spec("sleep 300")
    waiting = {name: command.start("submit", "--wait", f"{name}.yaml") for name in (killed, cancelled)}
    for name in waiting:
        command.until(name, "running")
    cluster.run("scancel", "--batch", "--signal=KILL", command.status(killed)["job_id"])
    assert command("cancel", cancelled).stdout.endswith(" is cancelled\n")
    ends = {name: (process.communicate(timeout=120), process.returncode) for name, process in waiting.items()}
    assert (ends[cancelled][1], command.status(cancelled)["state"]) == (1, "CANCELLED")
    assert ends[killed][1] == 137, ends[killed]
    assert "has ended already: CANCELLED" in command("cancel", cancelled).stdout


def test_output_is_followed_byte_for_byte(command: CommandLine) -> None:
    command.pulled()
    script = (
        "i=0; while [ $i -lt 5 ]; do echo begin $i; seq 1 60000; sleep 1; i=$((i+1)); done; printf 'no line'"
    )
    name = command.submitted(script)
    done = command("logs", "--follow", name)
    assert done.returncode == 0, done.stderr
    numbers = "".join(f"{number}\n" for number in range(1, 60001))
    assert done.stdout == "".join(f"begin {i}\n{numbers}" for i in range(5)) + "no line"
    assert re.search(r": COMPLETED after 00:0\d:\d\d", done.stderr.splitlines()[-1])
    assert command("logs", name).stdout == done.stdout
    assert command("logs", "--lines", "2", name).stdout == "60000\nno line"
    assert command("logs", "--follow", "--lines", "2", name).stdout == "60000\nno line"


def test_ctrl_c_leaves_the_job_alone(command: CommandLine) -> None:
    command.pulled()
    name = command.spec("echo up; sleep 300")
    waits = command.start("submit", "--wait", f"{name}.yaml")
    eventually(lambda: command("logs", name).stdout == "up\n", what="the first line")
    follows = command.start("logs", "--follow", name)
    assert follows.stdout
    assert follows.stdout.readline() == "up\n"
    for process in (waits, follows):
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 130
        assert told.splitlines()[-1].endswith("is left as it is; `cancel` ends it")
    assert command.status(name)["phase"] == "running"
    assert command("cancel", name).returncode == 0
    command.until(name, "ended")
    assert command("logs", name).stdout.startswith("up\n"), "its output stays"


@also_managed
def test_a_held_job_waits_until_it_is_released(command: CommandLine) -> None:
    name = command.spec("exit 4")
    assert command("submit", "--held", f"{name}.yaml").returncode == 0
    held = command.status(name)
    assert (held["state"], held["reason"]) == ("PENDING", "JobHeldUser")
    assert "  PENDING (JobHeldUser)  " in command("status", name).stdout
    done = command("logs", name)
    assert done.returncode == (75 if command.interface.shows_output else 2)
    assert command("release", name).stdout.endswith(" is released\n")
    assert command.until(name, "ended")["exit_code"] == 4
    assert command("release", name).returncode == 2


@also_managed
def test_the_portal_sees_no_native_job(command: CommandLine, service: Service) -> None:
    name = command.submitted("sleep 300")
    job = command.until(name, "running")
    assert name not in service.running() | service.queued()
    for theirs, status in ((name, 400), (job_name(), 404)):
        ref = {"name": theirs, "number": 1, "jobid": job["job_id"]}
        for ask in ("/exitstatus", "/terminate"):
            assert service.post(ask, ref).status_code == status
    assert command.status(job["job_id"])["phase"] == "running"
    command("cancel", name)


def test_users_have_jobs_of_one_name_which_ids_and_users_tell_apart(
    command: CommandLine, cluster: Cluster
) -> None:
    """Through slurmrestd their files are in one scratch folder."""
    users = ("kirby", "mario")
    name = command.spec("id -un")
    file = command.folder / f"{name}.yaml"
    ids = {}
    for user in users:
        file.write_text(file.read_text().replace("user: kirby", f"user: {user}"))
        done = command("submit", "--json", file, SLURM_JWT=cluster.token(user))
        ids[user] = json.loads(done.stdout)["job_id"]
    done = command("status", name)
    assert done.returncode == 2
    assert f"{ids['kirby']} (kirby), {ids['mario']} (mario); say the id or the user" in done.stderr
    for user in users:
        assert command.until(ids[user], "ended")["exit_code"] == 0
        [found] = json.loads(command("status", "--json", "--user", user, name).stdout)
        assert (found["job_id"], found["user"]) == (ids[user], user)
        assert command("logs", "--lines", "1", ids[user]).stdout == f"{user}\n"


@only_cli
def test_a_user_who_is_not_mapped_cannot_submit(command: CommandLine, cluster: Cluster) -> None:
    name = command.spec("true", user="bowser")
    done = command("submit", f"{name}.yaml")
    assert done.returncode == 2
    assert "'bowser' is not in the users id mapping" in done.stderr
    assert cluster.jobs(name) == []


@only_http
def test_a_token_is_its_users_only(command: CommandLine, cluster: Cluster) -> None:
    name = command.spec("true", user="mario")
    for mine, told in (("", "SLURM_JWT is not set"), (cluster.token("kirby"), "is a token of kirby")):
        done = command("submit", f"{name}.yaml", SLURM_JWT=mine)
        assert done.returncode == 2
        assert told in done.stderr
    assert command("submit", f"{name}.yaml", SLURM_JWT=cluster.token("mario")).returncode == 0
    assert command.status(name)["user"] == "mario"


@also_managed
@pytest.mark.parametrize(
    ("wrong", "said"), [({"partition": "none"}, "partition"), ({"memory_gb": 9999999}, "node configuration")]
)
def test_what_slurm_refuses_is_told_and_can_be_submitted_again(
    command: CommandLine, wrong: dict[str, Any], said: str
) -> None:
    """Of a job that asks for too much slurmctld keeps a record all the same."""
    name = command.spec("true", **wrong)
    done = command("submit", f"{name}.yaml")
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert not [job for job in json.loads(command("status", "--json").stdout) if job["exit_code"] == 129]
    command.spec("true", name=name)
    done = command("submit", "--wait", f"{name}.yaml")
    assert done.returncode == 0, done.stderr
    assert "was submitted before" not in done.stdout


@also_managed
def test_while_slurm_is_away_the_exit_code_says_try_again_and_who_waits_goes_on(
    command: CommandLine, cluster: Cluster
) -> None:
    name = command.spec("sleep 8; exit 5")
    waits = command.start("submit", "--wait", f"{name}.yaml")
    job_id = command.until(name, "running")["job_id"]
    steps = ("squeue", "--noheader", "--steps", f"--jobs={job_id}")
    # srun gives up at once when it is slurmctld's turn to let it start.
    eventually(lambda: f"{job_id}.0 " in cluster.run(*steps), what="the step")
    with away(cluster, "slurmctld"):
        assert command("status", name).returncode == 75
    _, told = waits.communicate(timeout=180)
    assert waits.returncode == 5, told + command("logs", name).stdout
    assert told.count("asking again") <= 1


@also_managed
def test_a_job_that_slurmctld_has_forgotten_is_found_by_name_and_by_id(
    interface_of: Callable[[str], Interface], command: CommandLine, cluster: Cluster
) -> None:
    with forgetful(cluster):
        name = command.submitted("echo once; exit 3")
        forgotten(cluster, name)
        found = command.status(name)
        assert (found["state"], found["exit_code"], found["user"]) == ("FAILED", 3, "kirby")
        assert command.status(found["job_id"]) == found
        done = command("submit", "--wait", f"{name}.yaml")
        assert done.returncode == 3, done.stderr
        assert done.stdout.startswith(f"{name} was submitted before, as job {found['job_id']}; nothing new ")
        assert command.status(name) == found
        if command.interface.shows_output:
            assert command("logs", name).stdout.splitlines().count("once") == 1


@also_managed
def test_a_job_that_was_cancelled_while_it_was_held_is_found_when_slurmctld_has_forgotten_it(
    command: CommandLine, cluster: Cluster
) -> None:
    with forgetful(cluster):
        name = command.spec("true")
        assert command("submit", "--held", f"{name}.yaml").returncode == 0
        assert command("cancel", name).returncode == 0
        forgotten(cluster, name)
        found = command.status(name)
        assert (found["state"], found["phase"], found["exit_code"]) == ("CANCELLED", "ended", None)
        assert command("submit", f"{name}.yaml").stdout.startswith(f"{name} was submitted before, as job ")


@only_cli  # elsewhere the registry logins are inside the batch script
def test_a_job_that_is_cancelled_before_its_start_leaves_no_registry_login(
    command: CommandLine, cluster: Cluster
) -> None:
    name = command.spec("true")
    assert command("submit", "--held", f"{name}.yaml").returncode == 0
    [folder] = (cluster.home("kirby") / ".jarvice/control").glob(f"*{name}")
    assert {file.name for file in folder.iterdir()} == {"claim", "jobid", "secrets"}
    done = command("cancel", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert {file.name for file in folder.iterdir()} == {"claim", "jobid"}


def forgotten(cluster: Cluster, name: str) -> None:
    """Return when squeue does not know the job any more."""
    eventually(lambda: not cluster.jobs(name), seconds=120, what=f"squeue without {name}")
