"""./run audit: known vulnerabilities of the pinned packages, and dangerous constructs of our own code.

A vulnerability that is found fails. Where nobody can be asked for vulnerabilities, as behind a package mirror
that has no such data, that is said loudly and is no failure: what was not checked is never called good.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
_PIP_AUDIT = (
    "pip_audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip", "--format", "json",
    "--progress-spinner", "off", "--timeout", "10", "--vulnerability-service", "pypi",
)  # fmt: skip
_BANDIT = ("bandit", "--quiet", "--recursive", "pipeline", "main.py")


def main() -> int:
    """The exit code: 1 for anything that was found."""
    done = _module(_PIP_AUDIT)
    text, found = report(done.stdout, done.stderr)
    print(text)
    code = subprocess.run([sys.executable, "-m", *_BANDIT], cwd=TOP, check=False).returncode
    if not code:
        print("bandit: nothing found in pipeline/")
    return 1 if found or code else 0


def report(answer: str, complaint: str) -> tuple[str, bool]:
    """What pip-audit found, for people, and whether that is a failure."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = complaint.strip().splitlines()[-1:] or ["no reason given"]
        return _not_checked(f"any package ({last[0]})"), False
    lines = [
        f"pip-audit: {package['name']} {package['version']}: {fault['id']}, "
        f"fixed in {', '.join(fault['fix_versions']) or 'no version yet'}"
        for package in packages
        for fault in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    checked = len(packages) - len(skipped)
    said = [*lines, f"pip-audit: {checked} packages checked, {len(lines)} vulnerabilities"]
    if skipped:
        said.append(_not_checked(", ".join(skipped) if checked else f"any of {len(packages)} packages"))
    return "\n".join(said), bool(lines)


def _not_checked(which: str) -> str:
    return (
        f"WARNING: known vulnerabilities NOT CHECKED of {which}.\n"
        "WARNING: the package index does not say, or cannot be reached; run ./run audit where it can."
    )


def _module(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=TOP, check=False, capture_output=True, text=True
    )


if __name__ == "__main__":
    sys.exit(main())
