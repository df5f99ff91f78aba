"""A few seconds of what ``./run torture polls`` does."""

from __future__ import annotations

from pathlib import Path

from tests.torture import polls
from tests.torture.polls import Polled, Sample


def test_polls_are_answered_and_leave_no_files_and_threads(tmp_path: Path) -> None:
    polled = polls.run(6, 0, tmp_path)
    assert not [what for what in polled.broken if "memory" not in what]  # it is not warm yet
    assert polled.rounds > 10
    assert polled.answers["200"] > 10 * polls.JOBS
    assert set(polled.answers) <= {"200", "500", "503"}
    assert polled.jobs > polls.JOBS


def _judged(*mib: float, files: int = 20) -> list[str]:
    samples = [Sample(second, second * 50, each, 20, 8) for second, each in enumerate(mib)]
    last = samples[-1]
    samples[-1] = Sample(last.seconds, last.rounds, last.mib, files, 8)
    polled = Polled(samples)
    polled.judge()
    return polled.broken


def test_what_grows_is_told() -> None:
    steps = range(100)
    assert _judged(*(60 + step / 10 for step in steps)) == ["memory grows: 5.9 MiB since the service is warm"]
    assert _judged(*(60.0 for _ in steps), files=40) == ["files grow: 20 at the most at first, 40 later"]
    assert _judged(*(60 + min(step, 30) for step in steps)) == []
