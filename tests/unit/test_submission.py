"""Submitting exactly once: the lines of bash are run by bash, with an sbatch that counts."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import NameTaken, PartitionRefused, Unavailable
from pipeline.job import Sent
from pipeline.slurm import submission
from pipeline.slurm.submission import Claim, Settle, Submit, Unsettled, Withdraw
from tests.harness.bash import Sandbox
from tests.harness.slurm_commands import LOST, REFUSES, slurm

__all__ = ["slurm"]

CONTROL = '.jarvice/control/2024-it\'s a "name" $(touch x)'
DIGEST = "0123456789abcdef"
SCRIPT = b"#!/bin/bash\necho \xc3\xbc\n"


def submit(sandbox: Sandbox, control: str = CONTROL, digest: str = DIGEST) -> str:
    return sent(sandbox, Claim(control, digest)).job_id


def sent(sandbox: Sandbox, claim: Claim) -> Sent:
    command = Submit(claim)
    return command.parse(sandbox.run(command.line(), SCRIPT))


def withdraw(sandbox: Sandbox, claim: Claim) -> None:
    command = Withdraw(claim)
    command.parse(sandbox.run(command.line()))


def test_a_first_submission_claims_the_name_sends_the_script_and_records_the_id(slurm: Sandbox) -> None:
    assert submit(slurm) == "100"
    control = slurm.home / CONTROL
    assert (control / "jobid").read_text().split() == ["100"]
    assert control.stat().st_mode & 0o777 == 0o700
    assert (slurm.home.parent / "calls.script").read_bytes() == SCRIPT
    assert slurm.calls("sbatch") == ["sbatch --parsable"]
    assert not list(slurm.home.rglob("x"))


def test_only_a_claim_of_this_submission_without_an_id_is_withdrawn(slurm: Sandbox) -> None:
    ours = Claim(CONTROL, DIGEST)
    sent(slurm, ours)
    withdraw(slurm, ours)
    assert (slurm.home / CONTROL / "jobid").read_text().split() == ["100"]
    (slurm.home / CONTROL / "jobid").write_text("")
    withdraw(slurm, Claim(CONTROL, DIGEST))
    assert (slurm.home / CONTROL).exists()
    withdraw(slurm, ours)
    assert not (slurm.home / CONTROL).exists()


def test_a_second_submission_gives_the_recorded_id_and_sends_nothing(slurm: Sandbox) -> None:
    assert submit(slurm) == submit(slurm) == "100"
    assert len(slurm.calls("sbatch")) == 1


def test_whether_it_was_sent_before_is_told(slurm: Sandbox) -> None:
    answers = [sent(slurm, Claim(CONTROL, DIGEST)) for _ in range(3)]
    assert answers == [Sent("100"), Sent("100", is_new=False), Sent("100", is_new=False)]


def test_a_line_that_is_repeated_knows_its_own_claim(slurm: Sandbox) -> None:
    """The transport does so when the connection was lost before the answer."""
    ours = Claim(CONTROL, DIGEST)
    assert [sent(slurm, ours) for _ in range(2)] == [Sent("100"), Sent("100")]
    assert len(slurm.calls("sbatch")) == 1


def test_the_same_name_with_other_content_is_another_job_and_is_not_sent(slurm: Sandbox) -> None:
    submit(slurm)
    with pytest.raises(NameTaken, match="job 100 was submitted under it before, with other content") as fault:
        submit(slurm, digest="fedcba")
    assert fault.value.status == 409
    assert submit(slurm) == "100"
    assert len(slurm.calls("sbatch")) == 1


def test_a_job_of_an_older_downstream_has_any_content(slurm: Sandbox) -> None:
    (slurm.home / CONTROL).mkdir(parents=True)
    (slurm.home / CONTROL / "jobid").write_text("99\n")
    assert sent(slurm, Claim(CONTROL, DIGEST)) == Sent("99", is_new=False)


@pytest.mark.parametrize("ends", ["", "trap '' TERM; "])
def test_a_busy_slurmctld_that_sbatch_waits_for_is_no_answer(
    slurm: Sandbox, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """An sbatch that is left running might send the job after its claim was given up."""
    monkeypatch.setattr(submission, "SBATCH_SECONDS", 1)
    monkeypatch.setattr(submission, "_KILLED_SECONDS", 1)
    slurm.command("sbatch", f"{ends}cat >/dev/null; exec sleep 15")
    begun = time.monotonic()
    with pytest.raises(Unsettled):
        submit(slurm)
    assert time.monotonic() - begun < 10
    assert (slurm.home / CONTROL).is_dir()


@pytest.mark.parametrize("file", ["claim", "jobid"])
def test_what_cannot_be_written_leaves_the_name_free(slurm: Sandbox, file: str) -> None:
    """As on a full file system: ``mkdir`` makes the file a folder, which nothing can be written to."""
    slurm.command("mkdir", f'command -p mkdir "$@" && command -p mkdir "${{@: -1}}/{file}"')
    with pytest.raises(Unavailable, match=r"control folder: .*directory"):
        submit(slurm)
    assert not slurm.calls("sbatch")
    (slurm.bin / "mkdir").unlink()
    (slurm.home / CONTROL / file).rmdir()
    (slurm.home / CONTROL).rmdir()
    assert submit(slurm) == "100"


def test_a_shell_that_stays_while_its_home_is_moved_finds_the_new_one(slurm: Sandbox) -> None:
    """As when a site moves homes to another file server: the shell's own folder is the old one."""
    slurm.command("sbatch", 'cat >/dev/null; pwd >"$CALLS.folder"; echo 100')
    line = Submit(Claim(CONTROL, DIGEST)).line()
    moved = 'mv "$HOME" "$HOME.old" && mkdir "$HOME"'
    assert slurm.run(f"{moved}; {line}", SCRIPT).text().split() == ["100"]
    assert (slurm.home / CONTROL / "jobid").exists()
    assert Path(f"{slurm.environment['CALLS']}.folder").read_text() == f"{slurm.home}\n"


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
    ours = Claim(CONTROL, DIGEST)
    with pytest.raises(PartitionRefused, match="Invalid partition name specified"):
        sent(slurm, ours)
    with pytest.raises(Unsettled):
        submit(slurm)
    withdraw(slurm, ours)
    assert not (slurm.home / CONTROL).exists()
    slurm.command("sbatch", "cat >/dev/null; echo 101")
    assert submit(slurm) == "101"


@pytest.mark.parametrize("failure", [LOST, "cat >/dev/null; exec sleep 60"])
def test_a_claim_whose_sbatch_has_failed_need_not_get_old(
    slurm: Sandbox, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is under way but what slurmctld may have."""
    monkeypatch.setattr(submission, "SBATCH_SECONDS", 1)
    slurm.command("sbatch", failure)
    ours = Claim(CONTROL, DIGEST)
    with pytest.raises((Unavailable, Unsettled)):
        sent(slurm, ours)
    settle = Settle(ours, "jarvice_x")
    with pytest.raises(Unavailable):
        settle.parse(slurm.run(settle.line()))
    assert (slurm.home / CONTROL / "missed").exists()


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


def test_a_link_in_the_folders_place_is_another_users(slurm: Sandbox) -> None:
    """Where users share a scratch folder another may have made it: nothing is removed where it leads."""
    mine = slurm.home / "mine"
    mine.mkdir()
    (mine / "claim").write_text("mine")
    control = slurm.home / CONTROL
    control.parent.mkdir(parents=True)
    control.symlink_to(mine)
    with pytest.raises(NameTaken, match="another user"):
        submit(slurm)
    assert (mine / "claim").read_text() == "mine"
    assert not slurm.calls("sbatch")


def test_an_sbatch_that_is_not_there_is_a_matter_of_the_site(slurm: Sandbox) -> None:
    (slurm.bin / "sbatch").unlink()
    with pytest.raises(Unavailable, match="JARVICE_SLURM_BIN_DIR"):
        submit(slurm)
