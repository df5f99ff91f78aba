"""Submitting exactly once: the lines of bash are run by bash, with an sbatch that counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import PartitionRefused, Unavailable
from pipeline.job import Sent
from pipeline.slurm.submission import Submit, Unsettled, Withdraw
from tests.harness.bash import Sandbox
from tests.harness.slurm_commands import LOST, REFUSES, slurm

__all__ = ["slurm"]

CONTROL = '.jarvice/control/2024-it\'s a "name" $(touch x)'
SCRIPT = b"#!/bin/bash\necho \xc3\xbc\n"


def submit(sandbox: Sandbox, control: str = CONTROL) -> str:
    command = Submit(control)
    return command.parse(sandbox.run(command.line(), SCRIPT)).job_id


def withdraw(sandbox: Sandbox) -> None:
    command = Withdraw(CONTROL)
    command.parse(sandbox.run(command.line()))


def test_a_first_submission_claims_the_name_sends_the_script_and_records_the_id(slurm: Sandbox) -> None:
    assert submit(slurm) == "100"
    control = slurm.home / CONTROL
    assert (control / "jobid").read_text().split() == ["100"]
    assert control.stat().st_mode & 0o777 == 0o700
    assert (slurm.home.parent / "calls.script").read_bytes() == SCRIPT
    assert slurm.calls("sbatch") == ["sbatch --parsable"]
    assert not list(slurm.home.rglob("x"))


def test_only_a_claim_without_an_id_is_withdrawn(slurm: Sandbox) -> None:
    submit(slurm)
    withdraw(slurm)
    assert (slurm.home / CONTROL / "jobid").read_text().split() == ["100"]
    (slurm.home / CONTROL / "jobid").write_text("")
    withdraw(slurm)
    assert not (slurm.home / CONTROL).exists()


def test_a_second_submission_gives_the_recorded_id_and_sends_nothing(slurm: Sandbox) -> None:
    assert submit(slurm) == submit(slurm) == "100"
    assert len(slurm.calls("sbatch")) == 1


def test_whether_it_was_sent_before_is_told(slurm: Sandbox) -> None:
    command = Submit(CONTROL)
    sent = [command.parse(slurm.run(command.line(), SCRIPT)) for _ in range(3)]
    assert sent == [Sent("100"), Sent("100", is_new=False), Sent("100", is_new=False)]


def test_other_names_are_other_jobs(slurm: Sandbox) -> None:
    assert submit(slurm, ".jarvice/control/1") != submit(slurm, ".jarvice/control/2")


def test_of_many_at_once_one_sends(slurm: Sandbox) -> None:
    def attempt(_: int) -> str:
        try:
            return submit(slurm)
        except Unsettled:
            return "unsettled"

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(attempt, range(24)))
    assert len(slurm.calls("sbatch")) == 1
    assert answers <= {"100", "unsettled"}
    assert submit(slurm) == "100"


def test_of_a_federation_the_cluster_is_cut_off(slurm: Sandbox) -> None:
    slurm.command("sbatch", "cat >/dev/null; echo '100;cluster'")
    assert submit(slurm) == submit(slurm) == "100"


def test_the_exit_code_decides_and_not_what_is_said(slurm: Sandbox) -> None:
    slurm.command("sbatch", "cat >/dev/null; echo 'sbatch: error: Invalid partition' >&2; echo 100")
    assert submit(slurm) == "100"


def test_a_refused_job_is_withdrawn_and_can_be_sent_again(slurm: Sandbox) -> None:
    slurm.command("sbatch", REFUSES)
    with pytest.raises(PartitionRefused, match="Invalid partition name specified"):
        submit(slurm)
    with pytest.raises(Unsettled):
        submit(slurm)
    withdraw(slurm)
    assert not (slurm.home / CONTROL).exists()
    slurm.command("sbatch", "cat >/dev/null; echo 101")
    assert submit(slurm) == "101"


def test_a_lost_answer_keeps_the_claim(slurm: Sandbox) -> None:
    slurm.command("sbatch", LOST)
    with pytest.raises(Unavailable, match="Socket timed out"):
        submit(slurm)
    with pytest.raises(Unsettled):
        submit(slurm)
    assert len(slurm.calls("sbatch")) == 1


@pytest.mark.parametrize("recorded", [None, "", "10"])
def test_a_claim_without_a_whole_id_is_unsettled(slurm: Sandbox, recorded: str | None) -> None:
    (slurm.home / CONTROL).mkdir(parents=True)
    if recorded is not None:
        (slurm.home / CONTROL / "jobid").write_text(recorded)
    with pytest.raises(Unsettled):
        submit(slurm)
    assert not slurm.calls("sbatch")


def test_a_job_that_was_accepted_is_never_told_as_refused(slurm: Sandbox) -> None:
    """sbatch takes the job, then its id cannot be written: the claim must outlive a withdrawal."""
    slurm.command(
        "sbatch", f"cat >/dev/null; cd '{slurm.home}'/.jarvice/control/*; rm -f jobid; mkdir jobid; echo 100"
    )
    with pytest.raises(Unsettled):
        submit(slurm)
    assert (slurm.home / CONTROL).is_dir()


def test_an_sbatch_that_says_nothing_may_have_accepted_the_job(slurm: Sandbox) -> None:
    """As when the disk is full: sbatch succeeds and its answer is lost."""
    slurm.command("sbatch", "cat >/dev/null; exit 0")
    with pytest.raises(Unsettled):
        submit(slurm)
    assert (slurm.home / CONTROL).is_dir()


@pytest.mark.parametrize("said", ["Submitted batch job 100", "Welcome to the cluster!\n100", "-1"])
def test_an_answer_that_is_no_id_is_settled_by_name(slurm: Sandbox, said: str) -> None:
    slurm.command("sbatch", f"cat >/dev/null; printf '%s\\n' '{said}'")
    for _ in range(2):
        with pytest.raises(Unsettled):
            submit(slurm)
    assert len(slurm.calls("sbatch")) == 1


def test_a_folder_that_cannot_be_made_is_told_with_the_reason(slurm: Sandbox) -> None:
    (slurm.home / ".jarvice").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match=r"control folder: .*Not a directory|File exists"):
        submit(slurm)
    assert not slurm.calls("sbatch")


def test_an_sbatch_that_is_not_there_is_a_matter_of_the_site(slurm: Sandbox) -> None:
    (slurm.bin / "sbatch").unlink()
    with pytest.raises(Unavailable, match="JARVICE_SLURM_BIN_DIR"):
        submit(slurm)
