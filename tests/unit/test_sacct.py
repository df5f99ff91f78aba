"""Reading sacct: how jobs ended."""

from __future__ import annotations

import pytest

from pipeline.errors import Nonsense, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.slurm.commands import NoAccounting, Sacct
from pipeline.transport import Completed
from tests.harness.jobs import NAME

SACCT = Sacct("jarvice_", ("7", "8"))


def read(text: str) -> list[JobStatus]:
    return SACCT.parse(Completed(0, text.encode()))


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("COMPLETED", "COMPLETED"),
        ("CANCELLED by 2002", "CANCELLED"),
        ("CANCELLED", "CANCELLED"),
        ("OUT_OF_MEMORY", "OUT_OF_MEMORY"),
        ("NODE_FAIL", "NODE_FAIL"),
    ],
)
def test_an_ended_job(said: str, state: str) -> None:
    [job] = read(f"7|kirby|{said}|1-02:03:04|n[1-2]|jarvice_{NAME}\n")
    assert job == JobStatus(NAME, "7", "kirby", state, Phase.ENDED, 93784, ("n1", "n2"))


def test_states_are_asked_for_in_a_form_that_does_not_clip_them() -> None:
    words = SACCT.line().split()
    assert words[0] == "sacct"
    assert {"--parsable2", "--allocations", "--allusers", "--noheader", "--jobs=7,8"} < set(words)


def test_a_job_that_never_started_has_no_nodes() -> None:
    [job] = read(f"7|kirby|CANCELLED by 0|00:00:00|None assigned|jarvice_{NAME}\n")
    assert (job.nodes, job.elapsed) == ((), 0)


def test_a_job_that_accounting_still_sees_running_has_not_ended() -> None:
    [job] = read(f"7|kirby|RUNNING|00:00:05|n1|jarvice_{NAME}\n")
    assert job.phase is Phase.RUNNING


def test_jobs_of_others_are_left_out() -> None:
    assert read("7|mario|COMPLETED|00:00:05|n1|other\n") == []
    assert read("") == []


@pytest.mark.parametrize("text", ["7|kirby", f"7|kirby|FAILED|later|n1|jarvice_{NAME}", "sacct: error: x"])
def test_an_answer_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(Nonsense):
        read(text)


def test_accounting_that_does_not_answer_is_told_apart_from_none_at_all() -> None:
    with pytest.raises(Unavailable):
        SACCT.parse(Completed(1, b"", b"sacct: error: slurm_persist_conn_open: Connection refused"))
    with pytest.raises(NoAccounting):
        SACCT.parse(Completed(1, b"", b"Slurm accounting storage is disabled"))
