"""A claim without an id is settled by asking Slurm for the name before anything is sent again."""

from __future__ import annotations

import os
import time

import pytest

from pipeline.errors import NameTaken, Unavailable, Unreachable
from pipeline.job import Sent
from pipeline.slurm.submission import CLAIM_SECONDS, MISSED_SECONDS, Claim, Settle, Submit
from tests.harness.bash import Sandbox
from tests.harness.slurm_commands import slurm

__all__ = ["slurm"]

CONTROL = ".jarvice/control/2024-x"
NAME = "jarvice_2024-x"
DIGEST = "0123456789abcdef"


def settle(sandbox: Sandbox, claim: Claim | None = None) -> str:
    return settled(sandbox, claim or Claim(CONTROL, DIGEST)).job_id


def settled(sandbox: Sandbox, claim: Claim) -> Sent:
    command = Settle(claim, NAME)
    return command.parse(sandbox.run(command.line()))


def submit(sandbox: Sandbox) -> str:
    command = Submit(Claim(CONTROL, DIGEST))
    return command.parse(sandbox.run(command.line(), b"x")).job_id


def claim(sandbox: Sandbox, *, seconds_ago: float = 0, by: str = "0", of: str = DIGEST) -> None:
    folder = sandbox.home / CONTROL
    folder.mkdir(parents=True)
    (folder / "claim").write_text(f"{by} {of} {int(time.time() - seconds_ago)}\n")


def missed(sandbox: Sandbox, *, seconds_ago: float = MISSED_SECONDS) -> None:
    """So long before, Slurm was asked and knew no such job."""
    (sandbox.home / CONTROL / "missed").write_text(f"{int(time.time() - seconds_ago)}\n")


def test_a_job_that_slurmctld_knows_is_found_and_recorded(slurm: Sandbox) -> None:
    claim(slurm)
    slurm.command("squeue", f'[[ "$*" == *" --name={NAME} "* ]] && echo 123')
    assert settle(slurm) == "123"
    assert (slurm.home / CONTROL / "jobid").read_text() == "123\n"
    assert submit(slurm) == "123"
    assert not slurm.calls("sbatch")


def test_what_slurmctld_keeps_of_a_job_that_it_refused_is_not_the_job(slurm: Sandbox) -> None:
    claim(slurm)
    slurm.command("squeue", "printf '%s|FAILED|%s\\n' 121 '' 123 n1")
    assert settle(slurm) == "123"
    slurm.command("squeue", "echo '121|FAILED|'")
    slurm.command("sacct", "printf '%s|FAILED|%s\\n' 121 'None assigned' 124 n1")
    assert settle(slurm) == "124"


def test_a_job_that_only_accounting_knows_is_found(slurm: Sandbox) -> None:
    claim(slurm)
    slurm.command("sacct", f'[[ "$*" == *" --name={NAME} "*" --state="*,CANCELLED,* ]] && echo 123')
    assert settle(slurm) == "123"


def test_of_several_the_first_is_the_one(slurm: Sandbox) -> None:
    claim(slurm)
    slurm.command("squeue", "printf '%s|PENDING|\\n' 1000 123 124")  # in the order of their priorities
    assert settle(slurm) == "123"


def test_a_young_claim_that_nobody_knows_is_waited_for(slurm: Sandbox) -> None:
    claim(slurm, seconds_ago=CLAIM_SECONDS - 20)
    with pytest.raises(Unavailable, match="ask again") as fault:
        settle(slurm)
    assert fault.value.worth_trying_again
    assert (slurm.home / CONTROL).is_dir()


@pytest.mark.parametrize("torn", [False, True])
def test_an_old_claim_that_nobody_knows_is_given_up_for_the_next_submission(
    slurm: Sandbox, torn: bool
) -> None:
    claim(slurm, seconds_ago=CLAIM_SECONDS)
    if torn:
        (slurm.home / CONTROL / "jobid").write_text("12")
    missed(slurm)
    with pytest.raises(Unavailable):
        settle(slurm)
    assert not (slurm.home / CONTROL).exists()
    assert submit(slurm) == "100"


def test_a_mark_without_a_whole_id_is_nobodys(slurm: Sandbox) -> None:
    claim(slurm)
    (slurm.home / CONTROL / "started").write_text("12")
    with pytest.raises(Unavailable):
        settle(slurm)
    assert not (slurm.home / CONTROL / "jobid").exists()


def test_slurm_has_to_know_no_such_job_twice_some_time_apart(slurm: Sandbox) -> None:
    """What waits in front of a slurmctld that did not answer may be carried out after the first look."""
    claim(slurm, seconds_ago=100 * CLAIM_SECONDS)
    for _ in range(3):
        with pytest.raises(Unavailable):
            settle(slurm)
    assert (slurm.home / CONTROL / "claim").exists()
    slurm.command("squeue", "echo 123")
    missed(slurm)
    assert settle(slurm) == "123"


@pytest.mark.parametrize("seconds_ago", [CLAIM_SECONDS - 20, 10 * CLAIM_SECONDS])
def test_a_claim_that_was_cut_off_before_it_said_anything_has_its_folders_time(
    slurm: Sandbox, seconds_ago: float
) -> None:
    claim(slurm)
    (slurm.home / CONTROL / "claim").write_text("")
    os.utime(slurm.home / CONTROL, (0, time.time() - seconds_ago))
    with pytest.raises(Unavailable):
        settle(slurm)
    assert (slurm.home / CONTROL / "missed").exists() == (seconds_ago >= CLAIM_SECONDS)


@pytest.mark.parametrize("file", ["claim", "missed"])
def test_what_stands_in_a_claim_is_never_run(slurm: Sandbox, file: str) -> None:
    claim(slurm, seconds_ago=CLAIM_SECONDS)
    (slurm.home / CONTROL / file).write_text("a[$(touch${IFS}x)] " * 3)
    with pytest.raises(Unavailable):
        settle(slurm)
    assert not (slurm.home / "x").exists()


def test_a_job_that_is_found_with_other_content_is_another_one(slurm: Sandbox) -> None:
    claim(slurm, of="fedcba")
    slurm.command("squeue", "echo 123")
    with pytest.raises(NameTaken, match="job 123"):
        settle(slurm)


def test_whose_submission_it_was_is_told(slurm: Sandbox) -> None:
    ours = Claim(CONTROL, DIGEST)
    claim(slurm, by=ours.token)
    slurm.command("squeue", "echo 123")
    assert settled(slurm, ours) == Sent("123")
    assert settled(slurm, Claim(CONTROL, DIGEST)) == Sent("123", is_new=False)


def test_a_job_that_ran_and_that_slurm_has_forgotten_is_found_by_its_mark(slurm: Sandbox) -> None:
    """Without accounting nobody else would ever know: the name would be neither free nor anybody's."""
    claim(slurm, seconds_ago=CLAIM_SECONDS)
    (slurm.home / CONTROL / "started").write_text("99 0\n")
    missed(slurm)
    assert settle(slurm) == "99"
    assert submit(slurm) == "99"
    assert not slurm.calls("sbatch")


def test_who_comes_too_late_to_give_a_claim_up_leaves_the_next_one_alone(slurm: Sandbox) -> None:
    """Two replicas come to the same end; before the second one acts, the name is sent again."""
    claim(slurm, seconds_ago=CLAIM_SECONDS)
    missed(slurm)
    folder = slurm.home / CONTROL
    slurm.command(
        "rm",
        f'command -p rm -rf "{folder}"; mkdir "{folder}"; echo 100 >"{folder}/jobid"; command -p rm "$@"',
    )
    with pytest.raises(Unavailable, match="ask again"):
        settle(slurm)
    (slurm.bin / "rm").unlink()
    assert submit(slurm) == "100"
    assert not slurm.calls("sbatch")


def test_while_slurmctld_does_not_answer_nothing_is_given_up(slurm: Sandbox) -> None:
    claim(slurm, seconds_ago=10 * CLAIM_SECONDS)
    missed(slurm)
    slurm.command("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(Unreachable, match="Unable to contact"):  # which circuits count
        settle(slurm)
    assert (slurm.home / CONTROL).is_dir()


def test_while_accounting_does_not_answer_nothing_is_given_up(slurm: Sandbox) -> None:
    """slurmctld forgets an ended job after MinJobAge: only accounting can say that there was none."""
    claim(slurm, seconds_ago=10 * CLAIM_SECONDS)
    missed(slurm)
    slurm.command("sacct", "echo 'sacct: error: Connection refused' >&2; exit 1")
    with pytest.raises(Unavailable):
        settle(slurm)
    assert (slurm.home / CONTROL).is_dir()


def test_a_cluster_without_accounting_gives_old_claims_up_too(slurm: Sandbox) -> None:
    claim(slurm, seconds_ago=10 * CLAIM_SECONDS)
    missed(slurm)
    slurm.command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    with pytest.raises(Unavailable):
        settle(slurm)
    assert not (slurm.home / CONTROL).exists()


def test_a_claim_that_was_withdrawn_meanwhile_is_worth_trying_again(slurm: Sandbox) -> None:
    with pytest.raises(Unavailable, match="ask again"):
        settle(slurm)
