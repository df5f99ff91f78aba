"""What is sent is bash that bash and shellcheck have nothing to say about."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.golden.cases import Case, all_cases

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bash_can_read_it(case: Case, tmp_path: Path) -> None:
    _clean(["bash", "-n"], case.sent(), tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shellcheck_has_no_complaint(case: Case, tmp_path: Path) -> None:
    _clean(["shellcheck", "--shell=bash"], case.sent(), tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_scripts_that_the_tasks_run_are_clean_too(case: Case, tmp_path: Path) -> None:
    """The task script lies in a here-document, which shellcheck does not look into."""
    _, _, rest = case.sent().partition("<<'END_OF_TASK' || exit 1\n")
    task, _, _ = rest.partition("\nEND_OF_TASK\n")
    assert task.startswith("#!/bin/bash\n")
    _clean(["shellcheck", "--shell=bash"], task, tmp_path)


def _clean(command: list[str], script: str, folder: Path) -> None:
    file = folder / "script.sh"
    file.write_text(script, encoding="utf-8", newline="")
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
