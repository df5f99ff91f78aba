"""What is sent is bash that bash and shellcheck have nothing to say about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.cases import Case, all_cases

CASES = all_cases()
SHELLCHECK = str(Path(sys.executable).with_name("shellcheck"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bash_can_read_it(case: Case, tmp_path: Path) -> None:
    _clean(["bash", "-n"], case.sent(), tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shellcheck_has_no_complaint(case: Case, tmp_path: Path) -> None:
    _clean([SHELLCHECK, "--shell=bash"], case.sent(), tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_script_of_the_tasks_is_clean_too(case: Case, tmp_path: Path) -> None:
    """It lies in a here-document, which shellcheck does not look into."""
    _here_document_is_clean(case.sent(), "END_OF_TASK", tmp_path)


@pytest.mark.parametrize("case", [case for case in CASES if case.is_native], ids=lambda case: case.name)
def test_what_runs_a_container_is_clean_too(case: Case, tmp_path: Path) -> None:
    _here_document_is_clean(case.sent(), "END_OF_SCRIPT", tmp_path)


def _here_document_is_clean(batch: str, mark: str, folder: Path) -> None:
    _, _, rest = batch.partition(f"<<'{mark}' || exit 1\n")
    script, _, _ = rest.partition(f"\n{mark}\n")
    assert script.startswith("#!/bin/bash\n")
    _clean(["bash", "-n"], script, folder)
    _clean([SHELLCHECK, "--shell=bash", "--exclude=SC2016"], script, folder)  # what a job's text looks like


def _clean(command: list[str], script: str, folder: Path) -> None:
    file = folder / "script.sh"
    file.write_text(script, encoding="utf-8", newline="")
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
