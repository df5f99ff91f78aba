"""Write the expected scripts anew: ``python3 -m tests.golden.rewrite``. Read the difference after it."""

from __future__ import annotations

from tests.golden.cases import HERE, all_cases


def main() -> None:
    """Write every expected script, and remove those that have no case any more."""
    cases = all_cases()
    for case in cases:
        case.expected_file.write_text(case.rendered(), encoding="utf-8", newline="")
    for file in set(HERE.glob("*.sh")) - {case.expected_file for case in cases}:
        file.unlink()


if __name__ == "__main__":
    main()
