"""Reading sacct: how jobs ended."""

from __future__ import annotations

import pytest

from pipeline.errors import Nonsense, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.slurm.commands import NoAccounting, Sacct, SacctOfName
from pipeline.transport import Completed
from tests.harness.jobs import NAME

SACCT = Sacct("jarvice_", ("7", "8"))


def read(text: str) -> list[JobStatus]:
    return SACCT.parse(Completed(0, text.encode()))


@pytest.mark.parametrize(
    ("said", "state", "code"),
    [
        ("COMPLETED", "COMPLETED", 0),
        ("CANCELLED by 2002", "CANCELLED", None),
        ("CANCELLED", "CANCELLED", None),
        ("OUT_OF_MEMORY", "OUT_OF_MEMORY", None),
        ("NODE_FAIL", "NODE_FAIL", None),
    ],
)
def test_an_ended_job(said: str, state: str, code: int | None) -> None:
    [job] = read(f"7|kirby|{said}|1-02:03:04|n[1-2]|0:0|jarvice_{NAME}\n")
    assert job == JobStatus(NAME, "7", "kirby", state, Phase.ENDED, 93784, ("n1", "n2"), code)


@pytest.mark.parametrize(
    ("state", "said", "code"),
    [
        ("FAILED", "3:0", 3),
        ("FAILED", "0:9", 137),
        ("FAILED", "0:0", None),  # it never came to the end of its script
        ("OUT_OF_MEMORY", "0:125", None),  # no signal: Slurm's word for it
        ("OUT_OF_MEMORY", "137:0", 137),
        ("CANCELLED", "0:15", None),  # squeue says so, sacct says 0:0
        ("TIMEOUT", "0:1", None),
        ("RUNNING", "0:0", None),
    ],
)
def test_the_exit_code_is_the_batch_scripts_own(state: str, said: str, code: int | None) -> None:
    [job] = read(f"7|kirby|{state}|00:00:05|n1|{said}|jarvice_{NAME}\n")
    assert job.exit_code == code


def test_a_native_job_is_found_by_its_name() -> None:
    command = SacctOfName("jarvice_:", "hello")
    words = command.line().split()
    assert {"--allusers", "--duplicates", "--name=jarvice_:hello", "--starttime=now-30days"} < set(words)
    assert "--endtime=now+1days" in words, "without an end it leaves out what was cancelled while it was held"
    [asked] = [word.removeprefix("--state=").split(",") for word in words if word.startswith("--state=")]
    assert {"PENDING", "RUNNING", "CANCELLED", "COMPLETED", "DEADLINE", "OUT_OF_MEMORY"} < set(asked)
    rows = "".join(f"7|kirby|FAILED|00:00:05|n1|3:0|jarvice_:{name}\n" for name in ("hello", "Hello"))
    assert [job.name for job in command.parse(Completed(0, rows.encode()))] == ["hello"]


def test_states_are_asked_for_in_a_form_that_does_not_clip_them() -> None:
    words = SACCT.line().split()
    assert words[0] == "sacct"
    assert {"--parsable2", "--allocations", "--allusers", "--noheader", "--jobs=7,8"} < set(words)


def test_a_job_that_never_started_has_no_nodes() -> None:
    [job] = read(f"7|kirby|CANCELLED by 0|00:00:00|None assigned|0:0|jarvice_{NAME}\n")
    assert (job.nodes, job.elapsed) == ((), 0)


def test_a_job_that_accounting_still_sees_running_has_not_ended() -> None:
    [job] = read(f"7|kirby|RUNNING|00:00:05|n1|0:0|jarvice_{NAME}\n")
    assert job.phase is Phase.RUNNING


def test_jobs_of_others_are_left_out() -> None:
    assert read("7|mario|COMPLETED|00:00:05|n1|0:0|other\n") == []
    assert read("") == []


@pytest.mark.parametrize(
    "text",
    [
        "7|kirby",
        f"7|kirby|FAILED|00:00:05|n1|soon|jarvice_{NAME}",
        f"7|kirby|FAILED|later|n1|0:0|jarvice_{NAME}",
        "sacct: error: x",
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(Nonsense):
        read(text)


def test_accounting_that_does_not_answer_is_told_apart_from_none_at_all() -> None:
    with pytest.raises(Unavailable):
        SACCT.parse(Completed(1, b"", b"sacct: error: slurm_persist_conn_open: Connection refused"))
    with pytest.raises(NoAccounting):
        SACCT.parse(Completed(1, b"", b"Slurm accounting storage is disabled"))


@pytest.mark.parametrize("broken", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_what_only_looks_like_the_end_of_a_line_is_part_of_a_name(broken: str) -> None:
    forged = f"8|kirby|COMPLETED|00:00:05|n1|0:0|jarvice_{NAME}"
    rows = f"7|mallory|FAILED|00:00:05|n1|3:0|jarvice_2024-x{broken}{forged}\n"
    assert read(rows) == []
