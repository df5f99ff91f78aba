"""Each form gives exactly the batch script that a reviewer has read."""

from __future__ import annotations

import difflib

import pytest

from tests.golden.cases import HERE, Case, all_cases

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_batch_script_is_the_expected_one(case: Case) -> None:
    expected = case.expected_file.read_text(encoding="utf-8") if case.expected_file.exists() else ""
    rendered = case.rendered()
    difference = difflib.unified_diff(
        expected.splitlines(keepends=True),
        rendered.splitlines(keepends=True),
        str(case.expected_file.name),
        "rendered now",
    )
    if rendered != expected:
        pytest.fail("".join(difference) + "\nis it meant? python3 -m tests.golden.rewrite", pytrace=False)


def test_every_expected_script_has_a_case() -> None:
    assert set(HERE.glob("*.sh")) == {case.expected_file for case in CASES}
