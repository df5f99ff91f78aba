"""scancel, scontrol: their lines, and what their replies mean."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import NotFound, Unavailable
from pipeline.slurm.commands import Command, Ping, Release, Scancel, ShowJob
from pipeline.transport import Completed

COMMANDS: list[tuple[Command[Any], str]] = [
    (Scancel("7"), "scancel 7"),
    (Release("7"), "scontrol release 7"),
    (ShowJob("7"), "scontrol show job 7"),
    (Ping(), "scontrol ping"),
]


@pytest.mark.parametrize(("command", "line"), COMMANDS)
def test_the_line(command: Command[Any], line: str) -> None:
    assert command.line() == line


@pytest.mark.parametrize("command", [Scancel("7; id"), Release("$(id)"), ShowJob("a\nb")])
def test_an_id_is_one_word_whatever_it_holds(command: Command[Any]) -> None:
    assert "'" in command.line()
    assert "\n" not in command.line()


def test_success_is_the_exit_code_whatever_is_said() -> None:
    Scancel("7").parse(Completed(0, b"", b"scancel: error: Kill job error on job id 7"))
    Release("7").parse(Completed(0))
    Ping().parse(Completed(0, b"Slurmctld(primary) at head is UP\n"))
    assert ShowJob("7").parse(Completed(0, b"JobId=7\n")) == "JobId=7\n"


@pytest.mark.parametrize("command", [command for command, _ in COMMANDS])
def test_a_controller_that_does_not_answer_is_unavailable(command: Command[Any]) -> None:
    said = b"slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    with pytest.raises(Unavailable, match="Unable to contact slurm controller"):
        command.parse(Completed(1, b"", said))


def test_a_controller_that_is_down_is_told_in_pings_words() -> None:
    with pytest.raises(Unavailable, match=r"scontrol ping: .*is DOWN"):
        Ping().parse(Completed(1, b"Slurmctld(primary) at head is DOWN\n"))


@pytest.mark.parametrize("command", [Scancel("7"), Release("7"), ShowJob("7")])
def test_a_job_that_slurm_does_not_know_is_not_found(command: Command[Any]) -> None:
    with pytest.raises(NotFound, match="Invalid job id"):
        command.parse(Completed(1, b"", b"slurm_load_jobs error: Invalid job id specified"))
