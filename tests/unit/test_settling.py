"""A claim without an id is settled by asking Slurm for the name before anything is sent again."""

from __future__ import annotations

import os
import time

import pytest

from pipeline.errors import Unavailable
from pipeline.slurm.submission import CLAIM_SECONDS, Settle, Submit
from tests.harness.bash import Sandbox
from tests.harness.slurm_commands import slurm

__all__ = ["slurm"]

CONTROL = ".jarvice/control/2024-x"
NAME = "jarvice_2024-x"


def settle(sandbox: Sandbox) -> str:
    command = Settle(CONTROL, NAME)
    return command.parse(sandbox.run(command.line()))


def claim(sandbox: Sandbox, *, seconds_ago: float = 0) -> None:
    folder = sandbox.home / CONTROL
    folder.mkdir(parents=True)
    when = time.time() - seconds_ago
    os.utime(folder, (when, when))


def test_a_job_that_slurmctld_knows_is_found_and_recorded(slurm: Sandbox) -> None:
    claim(slurm)
    slurm.command("squeue", f'[[ "$*" == *" --name={NAME} "* ]] && echo 123')
    assert settle(slurm) == "123"
    assert (slurm.home / CONTROL / "jobid").read_text() == "123\n"
    assert Submit(CONTROL).parse(slurm.run(Submit(CONTROL).line(), b"x")).job_id == "123"
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
    slurm.command("squeue", "printf '%s\\n' 123 124")
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
    claim(slurm)
    if torn:
        (slurm.home / CONTROL / "jobid").write_text("12")
    os.utime(slurm.home / CONTROL, (0, 0))
    with pytest.raises(Unavailable):
        settle(slurm)
    assert not (slurm.home / CONTROL).exists()
    assert Submit(CONTROL).parse(slurm.run(Submit(CONTROL).line(), b"x")).job_id == "100"


def test_an_old_claim_of_a_job_that_ran_is_not_given_up(slurm: Sandbox) -> None:
    claim(slurm)
    (slurm.home / CONTROL / "started").write_text("99\n")
    os.utime(slurm.home / CONTROL, (0, 0))
    with pytest.raises(Unavailable):
        settle(slurm)
    assert (slurm.home / CONTROL / "started").exists()


def test_while_slurmctld_does_not_answer_nothing_is_given_up(slurm: Sandbox) -> None:
    claim(slurm, seconds_ago=10 * CLAIM_SECONDS)
    slurm.command("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(Unavailable, match="Unable to contact"):
        settle(slurm)
    assert (slurm.home / CONTROL).is_dir()


def test_while_accounting_does_not_answer_nothing_is_given_up(slurm: Sandbox) -> None:
    """slurmctld forgets an ended job after MinJobAge: only accounting can say that there was none."""
    claim(slurm, seconds_ago=10 * CLAIM_SECONDS)
    slurm.command("sacct", "echo 'sacct: error: Connection refused' >&2; exit 1")
    with pytest.raises(Unavailable):
        settle(slurm)
    assert (slurm.home / CONTROL).is_dir()


def test_a_cluster_without_accounting_gives_old_claims_up_too(slurm: Sandbox) -> None:
    claim(slurm, seconds_ago=10 * CLAIM_SECONDS)
    slurm.command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    with pytest.raises(Unavailable):
        settle(slurm)
    assert not (slurm.home / CONTROL).exists()


def test_a_claim_that_was_withdrawn_meanwhile_is_worth_trying_again(slurm: Sandbox) -> None:
    with pytest.raises(Unavailable, match="ask again"):
        settle(slurm)
