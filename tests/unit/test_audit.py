"""./run audit: what was found fails, and what was not checked is never called good."""

from __future__ import annotations

import json

from tests.audit import report

GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "skipped", "skip_reason": "not found"}


def of(*packages: object) -> tuple[str, bool]:
    return report(json.dumps({"dependencies": packages}), "")


def test_a_vulnerability_is_told_and_fails() -> None:
    text, fails = of(GOOD, BAD)
    assert fails
    assert "bad 2: PYSEC-1, fixed in 2.1" in text
    assert "NOT CHECKED" not in text


def test_packages_without_one_pass() -> None:
    assert of(GOOD) == ("pip-audit: 1 packages checked, 0 vulnerabilities", False)


def test_what_the_index_does_not_say_is_told_loudly() -> None:
    text, fails = of(GOOD, SKIPPED)
    assert "NOT CHECKED of skipped" in text
    text, fails = of(SKIPPED, SKIPPED)
    assert "0 packages checked" in text
    assert "NOT CHECKED of any of 2 packages" in text
    assert not fails


def test_an_index_that_cannot_be_reached_is_told_with_the_reason() -> None:
    text, fails = report("", "Traceback\n  File\nConnectionError: no route\n")
    assert "NOT CHECKED of any package (ConnectionError: no route)" in text
    assert not fails
