"""Completion in a shell, as the documents have it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.command_line import PROGRAM

DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"


def completed(line: str, *, shell: str = "bash") -> set[str]:
    """What a shell would offer for the last word of a line."""
    words = line.split(" ")
    environment = {
        "PATH": os.environ["PATH"],
        "_JARVICE_DOWNSTREAM_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return {answer.partition(",")[2] for answer in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("jarvice-downstream s", {"serve", "settings", "status", "submit"}),
        ("jarvice-downstream submit --", {"--help", "--held", "--json", "--name", "--wait"}),
        ("jarvice-downstream cancel --j", {"--json"}),
        ("jarvice-downstream render --interface ", {"cli", "http"}),
    ],
)
def test_commands_options_and_their_values_are_offered(line: str, offered: set[str]) -> None:
    assert completed(line) == offered


def test_the_line_for_bash_is_one_that_bash_takes() -> None:
    lines = re.findall(r"^\| bash \| `[^`]+` \| `(eval .*)` \|$", DOCUMENT.read_text(), re.MULTILINE)
    [line] = lines
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", f"{line}\ncomplete -p jarvice-downstream"],
        env={"PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "jarvice-downstream" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_of_the_documents_has_a_source(shell: str) -> None:
    variable = f"_JARVICE_DOWNSTREAM_COMPLETE={shell}_source"
    assert variable in DOCUMENT.read_text()
    name, _, value = variable.partition("=")
    done = subprocess.run(
        [PROGRAM], env={"PATH": os.environ["PATH"], name: value}, capture_output=True, text=True, check=True
    )
    assert "jarvice-downstream" in done.stdout
