"""Write what is expected anew: ``python3 -m tests.golden.rewrite``. Read the difference after it."""

from __future__ import annotations

from tests.golden.cases import HERE, PAYLOADS, all_cases, all_payloads


def main() -> None:
    """Write every expected script and payload, and remove those that have no case any more."""
    cases = all_cases()
    for case in cases:
        case.expected_file.write_text(case.rendered(), encoding="utf-8", newline="")
    for file in set(HERE.glob("*.sh")) - {case.expected_file for case in cases}:
        file.unlink()
    payloads = all_payloads()
    PAYLOADS.mkdir(exist_ok=True)
    for file, (case, version) in payloads.items():
        file.write_text(case.payload(version), encoding="utf-8", newline="")
    for file in set(PAYLOADS.iterdir()) - payloads.keys():
        file.unlink()


if __name__ == "__main__":
    main()
