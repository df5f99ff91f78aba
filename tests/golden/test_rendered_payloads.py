"""Each form gives exactly the payload for slurmrestd that a reviewer has read."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.golden.cases import PAYLOADS, all_payloads

EXPECTED = all_payloads()


@pytest.mark.parametrize("file", EXPECTED, ids=lambda file: file.stem)
def test_the_payload_is_the_expected_one(file: Path) -> None:
    case, version = EXPECTED[file]
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    rendered = case.payload(version)
    difference = difflib.unified_diff(
        expected.splitlines(keepends=True), rendered.splitlines(keepends=True), file.name, "rendered now"
    )
    if rendered != expected:
        pytest.fail("".join(difference) + "\nis it meant? python3 -m tests.golden.rewrite", pytrace=False)


def test_every_expected_payload_has_a_case() -> None:
    assert set(PAYLOADS.iterdir()) == EXPECTED.keys()
