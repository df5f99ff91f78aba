"""What ``./run torture`` says and how it ends, whatever the rounds are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.__main__ import ROUNDS, main
from tests.torture.rounds import Round, Table


def _good(size: int, seed: int, folder: Path) -> Table:
    assert not list(folder.iterdir())
    return Table({"size": size, "seed": seed})


def _bad(size: int, seed: int, folder: Path) -> Table:
    return Table({"size": size}, [f"a promise {seed}"])


def _failing(size: int, seed: int, folder: Path) -> Table:
    raise OSError("no such thing")


FRAME = (
    Round("good", "All is well.", 3, "things", _good),
    Round("bad", "Nothing is.", 4, "harms", _bad, needs_cluster=True),
    Round("failing", "It ends too early.", 5, "harms", _failing),
)


def test_a_passed_round_shows_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["good", "--seed", "7"], FRAME) == 0
    said = capsys.readouterr().out
    assert "good      All is well.\n  3 things, seed 7\n  size  3\n  seed  7\n  passed, 0 s\n" in said


@pytest.mark.parametrize(("name", "why"), [("bad", "a promise 7"), ("failing", "OSError: no such thing")])
def test_a_broken_promise_is_told_and_can_be_broken_again(
    capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    assert main([name, "good", "--seed", "7"], FRAME) == 1
    said = capsys.readouterr().out
    assert f"BROKEN {why}" in said
    assert said.endswith(f"broken: {name}; the same again: ./run torture --seed 7 {name}\n")


def test_what_needs_a_cluster_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["good", "bad", "--no-cluster"], FRAME) == 0
    assert "Nothing is." not in capsys.readouterr().out


def test_a_round_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["goof"], FRAME)
    assert end.value.code == 2
    assert "there is no goof; there are good, bad, failing" in capsys.readouterr().err


def test_every_round_is_listed_and_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    document = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    for each in ROUNDS:
        assert each.shows in said
        assert f"| `{each.name}` |" in document
    assert len({each.name for each in ROUNDS}) == len(ROUNDS)
