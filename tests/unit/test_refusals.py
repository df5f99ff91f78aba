"""What Slurm's complaints mean."""

from __future__ import annotations

import re

import pytest

from pipeline.errors import (
    AccountRefused,
    DownstreamError,
    NotFound,
    PartitionRefused,
    QosRefused,
    Refused,
    Unavailable,
    Unreachable,
)
from pipeline.slurm.refusals import fault
from pipeline.transport import Completed

BATCH = "sbatch: error: Batch job submission failed: "
SAID: list[tuple[str, type[DownstreamError]]] = [
    (BATCH + "Invalid account or account/partition combination specified", AccountRefused),
    (BATCH + "User's association does not exist", AccountRefused),
    (BATCH + "Invalid user id", AccountRefused),
    (BATCH + "Invalid qos specification", QosRefused),
    (
        BATCH + "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        QosRefused,
    ),
    ("sbatch: error: QOSMaxSubmitJobPerUserLimit", QosRefused),
    ("sbatch: error: AssocMaxSubmitJobLimit", QosRefused),
    (BATCH + "Invalid partition name specified", PartitionRefused),
    (BATCH + "Requested time limit is invalid (missing or exceeds some limit)", PartitionRefused),
    (BATCH + "Requested node configuration is not available", PartitionRefused),
    (BATCH + "Node count specification invalid", PartitionRefused),
    (BATCH + "Invalid license specification", Refused),
    (BATCH + "Job dependency problem", Refused),
    (BATCH + "Batch script contains DOS line breaks (\\r\\n)", Refused),
    ("scontrol: error: Invalid job id specified", NotFound),
    (BATCH + "Unable to contact slurm controller (connect failure)", Unreachable),
    (BATCH + "Socket timed out on send/recv operation", Unreachable),
    (BATCH + "Zero Bytes were transmitted or received", Unavailable),
    (BATCH + "Slurm temporarily unable to accept job, sleeping and retrying", Unavailable),
    (BATCH + "Resource temporarily unavailable", Unavailable),
    ("slurm_load_jobs error: Slurm backup controller in standby mode", Unreachable),
    ("sacct: error: Problem talking to the database: Connection refused", Unavailable),
]


@pytest.mark.parametrize(("said", "kind"), SAID)
def test_a_complaint_has_a_kind_and_keeps_slurms_words(said: str, kind: type[DownstreamError]) -> None:
    told = fault(Completed(1, b"", said.encode()), "sbatch")
    assert type(told) is kind
    assert told.message == f"sbatch: {re.sub('^[a-z]+: error: ', '', said)}"


@pytest.mark.parametrize(
    ("kind", "status"), [(Refused, 400), (AccountRefused, 403), (Unavailable, 503), (NotFound, 404)]
)
def test_kinds_have_statuses(kind: type[DownstreamError], status: int) -> None:
    assert kind.status == status


def test_only_what_is_unavailable_is_worth_trying_again() -> None:
    assert Unavailable.worth_trying_again
    assert not Refused.worth_trying_again


def test_missing_commands_are_a_matter_of_the_site() -> None:
    told = fault(Completed(127, b"", b"bash: line 1: sbatch: command not found"), "sbatch")
    assert isinstance(told, Unavailable)
    assert "JARVICE_SLURM_BIN_DIR" in told.message


def test_a_silent_failure_still_says_something() -> None:
    assert fault(Completed(3), "sbatch").message == "sbatch: exit code 3, without a word"


def test_a_complaint_is_told_on_one_line() -> None:
    assert fault(Completed(1, b"", b"x: error: a\n  b\n\xff"), "x").message == "x: a; b; \ufffd"
