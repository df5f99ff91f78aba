"""A job's secrets are sent before its batch script and kept from everybody; real bash runs the lines."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import NameTaken, PartitionRefused
from pipeline.job import Sent
from pipeline.slurm.submission import Claim, Submit, Unsettled, Withdraw
from tests.harness.bash import Sandbox
from tests.harness.slurm_commands import LOST, REFUSES, slurm

__all__ = ["slurm"]

CONTROL = ".jarvice/control/hello"
CLAIM = Claim(CONTROL, "0123")
SECRETS, SCRIPT = b"s|<SECRET1>|hunter2\\&|g\n", b"#!/bin/bash\necho \xc3\xbc\n"


def submit(
    sandbox: Sandbox,
    secrets: bytes = SECRETS,
    script: bytes = SCRIPT,
    umask: str = "022",
    claim: Claim = CLAIM,
) -> Sent:
    command = Submit(claim, len(secrets))
    return command.parse(sandbox.run(f"umask {umask}; {command.line()}", secrets + script))


def withdraw(sandbox: Sandbox) -> None:
    command = Withdraw(CLAIM)
    command.parse(sandbox.run(command.line()))


def sent_script(sandbox: Sandbox) -> bytes:
    return Path(f"{sandbox.environment['CALLS']}.script").read_bytes()


@pytest.mark.parametrize("umask", ["000", "022", "077", "277"])
def test_only_the_owner_reads_the_secrets_whatever_the_umask(slurm: Sandbox, umask: str) -> None:
    assert submit(slurm, umask=umask) == Sent("100")
    file = slurm.home / CONTROL / "secrets"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == SECRETS
    assert sent_script(slurm) == SCRIPT


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1), st.binary())
def test_secrets_and_script_arrive_byte_for_byte(slurm: Sandbox, secrets: bytes, script: bytes) -> None:
    slurm.run("rm -rf .jarvice")
    submit(slurm, secrets, script)
    assert (slurm.home / CONTROL / "secrets").read_bytes() == secrets
    assert sent_script(slurm) == script


def test_many_of_them_too(slurm: Sandbox) -> None:
    secrets, script = b"x" * 300_000, b"y" * 3_000_000
    submit(slurm, secrets, script)
    assert (slurm.home / CONTROL / "secrets").read_bytes() == secrets
    assert sent_script(slurm) == script


def test_the_secrets_are_there_when_the_job_may_start(slurm: Sandbox) -> None:
    slurm.command("sbatch", f'cat >/dev/null; cp "$HOME/{CONTROL}/secrets" "$CALLS.found"; echo 100')
    submit(slurm)
    assert Path(f"{slurm.environment['CALLS']}.found").read_bytes() == SECRETS


def test_a_job_without_secrets_has_no_file_of_them(slurm: Sandbox) -> None:
    submit(slurm, b"")
    assert sorted(file.name for file in (slurm.home / CONTROL).iterdir()) == ["claim", "jobid"]


def test_a_second_submission_leaves_the_secrets_of_the_first(slurm: Sandbox) -> None:
    submit(slurm)
    second = Claim(CONTROL, CLAIM.digest)
    assert submit(slurm, b"other", b"script", claim=second) == Sent("100", is_new=False)
    assert (slurm.home / CONTROL / "secrets").read_bytes() == SECRETS
    (slurm.home / CONTROL / "secrets").unlink()  # the job has read them
    assert submit(slurm, claim=second) == Sent("100", is_new=False)
    assert not (slurm.home / CONTROL / "secrets").exists()


def test_of_a_refused_job_nothing_stays(slurm: Sandbox) -> None:
    slurm.command("sbatch", REFUSES)
    with pytest.raises(PartitionRefused):
        submit(slurm)
    withdraw(slurm)
    assert not (slurm.home / CONTROL).exists()


def test_a_lost_answer_keeps_the_secrets_for_a_job_that_may_be_there(slurm: Sandbox) -> None:
    slurm.command("sbatch", LOST)
    with pytest.raises(Exception, match="Socket timed out"):
        submit(slurm)
    with pytest.raises(Unsettled):
        submit(slurm, b"other")
    assert (slurm.home / CONTROL / "secrets").read_bytes() == SECRETS


def test_secrets_that_cannot_be_kept_are_not_followed_by_the_job(slurm: Sandbox) -> None:
    slurm.command("head", "cat >/dev/null; echo 'No space left on device' >&2; exit 1")
    with pytest.raises(Exception, match="No space left on device"):
        submit(slurm)
    assert not slurm.calls("sbatch")
    assert not (slurm.home / CONTROL).exists()


@pytest.mark.parametrize("secrets", [SECRETS, b""])
def test_the_name_of_another_users_job_is_taken(slurm: Sandbox, secrets: bytes) -> None:
    control = slurm.home / CONTROL
    control.parent.mkdir(parents=True)
    if os.geteuid() == 0:
        control.mkdir(mode=0o700)
        os.chown(control, 65534, 65534)
    else:
        control.symlink_to("/")
    with pytest.raises(NameTaken, match=re.escape("another user has a job of this name")):
        submit(slurm, secrets)
    assert not slurm.calls("sbatch")
    assert not (control / "secrets").exists()
