"""The cli interface over SSH: who runs what, submitting once, and how ends are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from pipeline.connectors import Connector
from pipeline.connectors.slurm.choice import by_sbatch
from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.connectors.slurm.management_by_commands import ManagementByCommands
from pipeline.connectors.slurm.owners_files import AsTheOwner
from pipeline.connectors.slurm.submission_by_sbatch import SubmissionBySbatch
from pipeline.errors import DownstreamError, Nonsense, NotAllowed, PartitionRefused, Unavailable
from pipeline.identity import Owner, UsersMapping
from pipeline.job import JobStatus, Phase, Sent
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.slurm import states
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.jobs import NAME, job
from tests.harness.ssh_server import SshServer
from tests.unit.conftest import KEY

KIRBY = Owner("kirby", KEY)
LEFT = JobStatus(NAME, "100", "kirby", "RUNNING", Phase.RUNNING)
NEVER_SEEN = JobStatus(NAME, "100", "", "", Phase.ENDED)


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    return FakeSlurm(tmp_path / "slurm")


@pytest.fixture
def settings(server: SshServer, slurm: FakeSlurm, tmp_path: Path) -> Settings:
    return Settings(
        slurm_cluster_addr="127.0.0.1",
        slurm_cluster_port=server.port,
        slurm_ssh_pkey=KEY,
        slurm_bin_dir=str(slurm.folder),
        state_dir=tmp_path / "state",
    )


@pytest.fixture
def connector(settings: Settings) -> Iterator[Connector]:
    users = {f"{user}@example.com": Owner(user, KEY) for user in ("mario", "kirby")}
    connector = by_sbatch(settings, UsersMapping(users))
    yield connector
    connector.close()


@pytest.fixture
def batch(settings: Settings) -> BatchScript:
    return Renderer(settings).batch_script(job())


def control(server: SshServer) -> Path:
    return server.home("kirby") / ".jarvice" / "control" / NAME


def test_a_job_is_submitted_as_its_owner_and_managed_by_the_entry_user(
    connector: Connector, slurm: FakeSlurm, batch: BatchScript, server: SshServer
) -> None:
    assert connector.submission.submit(batch, KIRBY).job_id == "100"
    assert control(server).is_dir()
    assert connector.management.jobs() == [
        JobStatus(NAME, "100", "kirby", "PENDING", Phase.QUEUED, 5, ("n1",))
    ]
    connector.management.terminate("100")
    connector.management.release("100")
    assert connector.management.events("100") == "JobId=100\n"
    connector.check()
    assert slurm.calls("sbatch") == ["kirby sbatch --parsable"]
    for command in ("squeue", "scancel", "scontrol"):
        assert {call.split(" ")[0] for call in slurm.calls(command)} == {"jarvice"}


def test_a_name_is_submitted_once(connector: Connector, slurm: FakeSlurm, batch: BatchScript) -> None:
    assert {connector.submission.submit(batch, KIRBY).job_id for _ in range(3)} == {"100"}
    assert len(slurm.calls("sbatch")) == 1


def test_a_refused_job_can_be_submitted_again(
    connector: Connector, slurm: FakeSlurm, batch: BatchScript, server: SshServer
) -> None:
    slurm.command("sbatch", "echo 'sbatch: error: Invalid partition name specified' >&2; exit 1")
    with pytest.raises(PartitionRefused):
        connector.submission.submit(batch, KIRBY)
    assert not control(server).exists()
    slurm.restore("sbatch")
    assert connector.submission.submit(batch, KIRBY).job_id == "100"


def test_a_refusal_is_told_though_the_host_goes_away_before_the_claim_is_withdrawn(
    batch: BatchScript,
) -> None:
    host = Mock(**{"ask.side_effect": [PartitionRefused("Invalid partition"), Unavailable("ssh: dropped")]})
    with pytest.raises(PartitionRefused, match="Invalid partition"):
        SubmissionBySbatch(host, UsersMapping({}), "email").submit(batch, KIRBY)


@pytest.mark.parametrize(
    "end", ["echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1", "exit 0"]
)
def test_a_job_whose_answer_was_lost_is_found_by_its_name(
    connector: Connector, slurm: FakeSlurm, batch: BatchScript, end: str
) -> None:
    slurm.command("sbatch", f'cat >/dev/null; echo "123|kirby|PENDING|jarvice_{NAME}" >>"$jobs"; {end}')
    answers: list[Sent | None] = []
    for _ in range(2):
        try:
            answers.append(connector.submission.submit(batch, KIRBY))
        except Unavailable:
            answers.append(None)
    assert answers[-1] == Sent("123", is_new=False)
    assert len(slurm.calls("sbatch")) == 1


@pytest.mark.parametrize("host_knows_the_user", [True, False])
def test_an_owners_jobs_of_a_name_are_asked_for_as_cheaply_as_the_host_can(
    settings: Settings, slurm: FakeSlurm, host_knows_the_user: bool
) -> None:
    if not host_knows_the_user:
        (slurm.folder / "squeue").rename(slurm.folder / "squeue-of-all")
        unknown = 'case "$*" in *--user=*) echo "squeue: error: Invalid user: kirby" >&2; exit 0 ;; esac'
        slurm.command("squeue", f'{unknown}\nexec "$0-of-all" "$@"')
    ours = f"jarvice_{NAME}"
    slurm.set_jobs(f"7|kirby|RUNNING|{ours}", f"8|mario|RUNNING|{ours}", f"9|kirby|RUNNING|{ours}x")
    host = ClusterHost(settings)
    try:
        management = ManagementByCommands(settings, host, AsTheOwner(settings, UsersMapping({})))
        assert [job.job_id for job in management.jobs_of("kirby", NAME)] == ["7"]
    finally:
        host.close()
    asked = [call.partition(" --name=")[2] for call in slurm.calls("squeue")]
    assert asked == [f"{ours} --user=kirby"] + ([] if host_knows_the_user else [ours])


def test_an_end_is_accountings_word(connector: Connector, slurm: FakeSlurm) -> None:
    slurm.command("sacct", f"echo '100|kirby|CANCELLED by 2002|00:01:00|n1|0:0|jarvice_{NAME}'")
    ended = [JobStatus(NAME, "100", "kirby", "CANCELLED", Phase.ENDED, 60, ("n1",))]
    assert connector.management.ended([LEFT]).known == ended
    assert connector.management.ended([NEVER_SEEN]).known == ended


def test_an_earlier_job_with_the_same_id_is_not_the_one(connector: Connector, slurm: FakeSlurm) -> None:
    slurm.command("sacct", "echo '100|kirby|FAILED|00:01:00|n1|1:0|jarvice_2019-old'")
    assert connector.management.ended([LEFT]).known == []


def test_a_job_that_accounting_still_sees_running_is_left_out(connector: Connector, slurm: FakeSlurm) -> None:
    slurm.command("sacct", f"echo '100|kirby|RUNNING|00:01:00|n1|0:0|jarvice_{NAME}'")
    assert connector.management.ended([LEFT]).known == []


@pytest.mark.parametrize(
    "complaint", ["Slurm accounting storage is disabled", "sacct: error: Connection refused"]
)
@pytest.mark.parametrize("asked", [LEFT, NEVER_SEEN])
@pytest.mark.parametrize(("code", "state"), [(0, "COMPLETED"), (3, "FAILED")])
def test_without_accounting_the_jobs_own_record_counts(
    connector: Connector, slurm: FakeSlurm, server: SshServer,
    complaint: str, asked: JobStatus, code: int, state: str,
) -> None:  # fmt: skip
    slurm.command("sacct", f"echo '{complaint}' >&2; exit 1")
    control(server).mkdir(parents=True)
    (control(server) / "exit").write_text(f"100 {code} 1000 1065\n")
    [ended] = connector.management.ended([asked]).known
    assert (ended.name, ended.job_id, ended.owner) == (NAME, "100", "kirby")
    assert (ended.state, ended.phase, ended.elapsed) == (state, Phase.ENDED, 65)
    assert ended.exit_code == code


def test_on_a_cluster_without_accounting_a_job_without_a_record_was_killed(
    connector: Connector, slurm: FakeSlurm, server: SshServer
) -> None:
    slurm.command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    control(server).mkdir(parents=True)
    [ended] = connector.management.ended([LEFT]).known
    assert (ended.state, ended.phase) == ("KILLED", Phase.ENDED)


def test_while_accounting_does_not_answer_a_missing_record_settles_nothing(
    connector: Connector, slurm: FakeSlurm, server: SshServer
) -> None:
    slurm.command("sacct", "echo 'sacct: error: Connection refused' >&2; exit 1")
    control(server).mkdir(parents=True)
    assert connector.management.ended([LEFT]).known == []


def test_while_accounting_does_not_answer_nobody_says_that_a_job_was_never_there(
    connector: Connector, slurm: FakeSlurm
) -> None:
    slurm.command("sacct", "echo 'sacct: error: Connection refused' >&2; exit 1")
    known, fault = connector.management.ended([NEVER_SEEN])
    assert known == []
    assert isinstance(fault, Unavailable)


def test_exit_codes_are_asked_for_once_for_all_jobs_that_failed(
    connector: Connector, slurm: FakeSlurm
) -> None:
    slurm.command("squeue", "printf '%-20s%-20s\\n' 100 3:0 101 0:9")
    jobs = [
        JobStatus(NAME, job_id, "kirby", state, states.phase(state), nodes=("n1",))
        for job_id, state in [("99", "RUNNING"), ("100", "FAILED"), ("101", "FAILED"), ("102", "TIMEOUT")]
    ]
    found = connector.management.with_exit_codes(jobs)
    assert [job.exit_code for job in found] == [None, 3, 137, None]
    [call] = slurm.calls("squeue")
    assert "--jobs=100,101 " in call
    assert connector.management.with_exit_codes(jobs[:1]) == jobs[:1]
    assert len(slurm.calls("squeue")) == 1


FAILED = JobStatus(NAME, "100", "kirby", "FAILED", Phase.ENDED, nodes=("n1",))


def test_a_job_that_slurmctld_has_just_forgotten_has_no_exit_code(
    connector: Connector, slurm: FakeSlurm
) -> None:
    slurm.command("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert connector.management.with_exit_codes([FAILED]) == [FAILED]


@pytest.mark.parametrize("said", ["echo 'Unable to contact slurm controller' >&2; exit 1", "echo 100 soon"])
def test_an_exit_code_that_cannot_be_known_now_is_an_error(
    connector: Connector, slurm: FakeSlurm, said: str
) -> None:
    slurm.command("squeue", said)
    with pytest.raises((Unavailable, Nonsense)):
        connector.management.with_exit_codes([FAILED])


@pytest.mark.parametrize(("wanted", "word"), [(NAME, f"--name=jarvice_{NAME}"), ("100", "--jobs=100")])
def test_an_ended_job_is_searched_in_accounting(
    connector: Connector, slurm: FakeSlurm, wanted: str, word: str
) -> None:
    runs = [f"100|kirby|{end}|00:01:00|n1|3:0|jarvice_{NAME}" for end in ("NODE_FAIL", "FAILED")]
    slurm.command("sacct", f"printf '%s\\n' '{runs[0]}' '{runs[1]}' '{runs[1].replace('FAILED', 'RUNNING')}'")
    assert connector.management.search(wanted) == []  # it was started again
    slurm.command("sacct", f"printf '%s\\n' '{runs[0]}' '{runs[1]}'")
    assert [(job.state, job.exit_code) for job in connector.management.search(wanted)] == [("FAILED", 3)]
    assert word in slurm.calls("sacct")[-1].split(" ")


def test_without_accounting_a_name_is_searched_in_control_folders(
    connector: Connector, slurm: FakeSlurm, server: SshServer
) -> None:
    slurm.command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert connector.management.search(NAME) == connector.management.search("100") == []
    control(server).mkdir(parents=True)
    assert connector.management.search(NAME) == []
    (control(server) / "jobid").write_text("100\n")
    (control(server) / "exit").write_text("100 3 1000 1065\n")
    assert connector.management.search(NAME) == [
        JobStatus(NAME, "100", "kirby", "FAILED", Phase.ENDED, 65, (), 3)
    ]


def leave_folder(server: SshServer, user: str, job_id: str, record: str = "") -> None:
    """Let a user have the control folder of a job."""
    folder = server.home(user) / ".jarvice" / "control" / NAME
    folder.mkdir(parents=True)
    (folder / "jobid").write_text(f"{job_id}\n")
    if record:
        (folder / "exit").write_text(record)


@pytest.mark.parametrize("refused", ["anna", "zelda"])
def test_one_user_who_cannot_log_in_keeps_nobody_elses_job_from_being_found(
    settings: Settings, slurm: FakeSlurm, server: SshServer, refused: str
) -> None:
    slurm.command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    users = {f"{user}@example.com": Owner(user, KEY) for user in sorted(("kirby", refused))}
    connector = by_sbatch(settings, UsersMapping(users))
    with pytest.raises(DownstreamError, match=refused):
        connector.management.search(NAME)  # it may be this user's
    leave_folder(server, "kirby", "100", "100 3 1000 1065\n")
    assert [job.owner for job in connector.management.search(NAME)] == ["kirby"]
    connector.close()


def test_a_live_job_is_never_told_as_killed(
    connector: Connector, slurm: FakeSlurm, server: SshServer
) -> None:
    slurm.command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    leave_folder(server, "kirby", "100")
    slurm.set_jobs(f"100|kirby|RUNNING|other_{NAME}")
    assert connector.management.search(NAME) == []
    assert connector.management.ended([LEFT]).known == []
    slurm.set_jobs()
    assert [job.state for job in connector.management.search(NAME)] == ["KILLED"]
    slurm.command("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(Unavailable):
        connector.management.search(NAME)
    known, fault = connector.management.ended([LEFT])
    assert known == []
    assert isinstance(fault, Unavailable)


def test_the_logins_that_a_job_has_not_read_are_removed_as_the_owner(
    connector: Connector, settings: Settings, server: SshServer
) -> None:
    leave_folder(server, "kirby", "100")
    (control(server) / "secrets").write_text("s|a|b|g\n")
    connector.management.remove_logins(LEFT)
    assert [file.name for file in control(server).iterdir()] == ["jobid"]
    assert server.logins == ["kirby"]


def test_a_native_job_is_its_users_whom_the_mapping_has_to_hold(connector: Connector) -> None:
    assert connector.submission.owner_named("kirby", "") == KIRBY
    with pytest.raises(
        NotAllowed, match=r"'bowser' is not in the .*, so no job can be submitted as this user"
    ):
        connector.submission.owner_named("bowser", "")


def test_output_is_read_on_from_where_it_was_left(connector: Connector, server: SshServer) -> None:
    assert connector.management.output_from(LEFT, 0) is None
    file = server.home("kirby") / ".jarvice" / f"{NAME}.out"
    file.parent.mkdir()
    file.write_bytes(b"one\ntwo\n")
    assert connector.management.output_from(LEFT, 4) == (b"two\n", 8)
    assert connector.management.output_from(LEFT, 8) == (b"", 8)


def test_output_and_removal_are_the_owners(connector: Connector, server: SshServer) -> None:
    file = server.home("kirby") / ".jarvice" / f"{NAME}.out"
    assert connector.management.output(LEFT, 10) is None
    file.parent.mkdir()
    file.write_text("one\ntwo\n")
    assert connector.management.output(LEFT, 1) == b"two\n"
    connector.management.remove_files(LEFT)
    assert not file.exists()


def test_files_of_a_user_that_is_not_mapped_any_more_cannot_be_reached(connector: Connector) -> None:
    with pytest.raises(NotAllowed, match="'bowser'"):
        connector.management.output(JobStatus(NAME, "100", "bowser", "COMPLETED", Phase.ENDED), 10)


def test_a_cluster_without_slurms_commands_is_told_with_the_setting(
    connector: Connector, slurm: FakeSlurm
) -> None:
    (slurm.folder / "squeue").unlink()
    with pytest.raises(Unavailable, match="JARVICE_SLURM_BIN_DIR"):
        connector.management.jobs()


def test_a_requeued_job_that_runs_again_has_not_ended(connector: Connector, slurm: FakeSlurm) -> None:
    runs = [f"100|kirby|{state}|00:01:00|n1|0:0|jarvice_{NAME}" for state in ("NODE_FAIL", "RUNNING")]
    slurm.command("sacct", f"printf '%s\\n' '{runs[0]}' '{runs[1]}'")
    assert connector.management.ended([LEFT]).known == []


def test_a_wrong_job_id_never_ends_the_job_of_that_name_nor_removes_its_files(
    connector: Connector, slurm: FakeSlurm, server: SshServer
) -> None:
    slurm.command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    control(server).mkdir(parents=True)
    (control(server) / "jobid").write_text("500\n")
    assert connector.management.ended([NEVER_SEEN]).known == []
    connector.management.remove_files(LEFT)
    assert (control(server) / "jobid").read_text() == "500\n"


def test_where_accounting_answers_nobody_else_is_asked_for_a_job_that_is_not_there(
    connector: Connector, slurm: FakeSlurm, server: SshServer
) -> None:
    slurm.command("sacct", "exit 0")
    control(server).mkdir(parents=True)
    (control(server) / "exit").write_text("100 0 1000 1065\n")
    assert connector.management.ended([NEVER_SEEN]).known == []
