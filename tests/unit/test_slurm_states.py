"""Slurm's words for states and times, in the upstream's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.job import Phase
from pipeline.slurm.states import exit_status, phase, read_seconds, read_state, show_seconds

RUNNING = "RUNNING RESIZING SIGNALING STOPPED SUSPENDED COMPLETING STAGE_OUT A_WORD_OF_A_LATER_SLURM"
QUEUED = "CONFIGURING PENDING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED SPECIAL_EXIT"
ENDS = {
    0: "COMPLETED",
    1: "FAILED NODE_FAIL OUT_OF_MEMORY BOOT_FAIL",
    -15: "CANCELLED DEADLINE PREEMPTED",
    -9: "TIMEOUT REVOKED KILLED",
}


@pytest.mark.parametrize("state", RUNNING.split())
def test_what_counts_as_running(state: str) -> None:
    assert phase(state) is Phase.RUNNING


@pytest.mark.parametrize("state", QUEUED.split())
def test_what_counts_as_queued(state: str) -> None:
    assert phase(state) is Phase.QUEUED


@pytest.mark.parametrize(("code", "state"), [(code, state) for code in ENDS for state in ENDS[code].split()])
def test_what_an_end_means(code: int, state: str) -> None:
    assert phase(state) is Phase.ENDED
    assert exit_status(state) == code


def test_a_state_is_its_first_word() -> None:
    assert read_state("CANCELLED by 2002") == "CANCELLED"
    assert read_state("OUT_OF_MEMORY") == "OUT_OF_MEMORY"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("0:00", 0), ("0:07", 7), ("01:30", 90), ("1:02:03", 3723)],
        *[("1-02:03:04", 93784), ("365-00:00:00", 31536000)],
        *[("INVALID", 0), ("", 0), ("N/A", 0), ("Unknown", 0)],
    ],
)
def test_elapsed_times_of_slurm(text: str, seconds: int) -> None:
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["soon", "1:xx", "-1:00", "1-", "1:2:3:4 x", ":"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|not a time"):
        read_seconds(text)


@given(st.integers(0, 10**9))
def test_times_come_back(seconds: int) -> None:
    shown = show_seconds(seconds)
    assert re.fullmatch(r"\d{2,}:[0-5]\d:[0-5]\d", shown)
    assert read_seconds(shown) == seconds


def test_days_are_folded_into_hours() -> None:
    assert show_seconds(read_seconds("1-02:03:04")) == "26:03:04"
    assert show_seconds(-5) == "00:00:00"
