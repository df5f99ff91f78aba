"""Does harm, counts, and fails if a promise was broken. ``./run torture [ROUND...]``; none: all of them."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.torture import api, clocks, faults, folders, hostile, kills, marked, outages, parsers, polls
from tests.torture.rounds import Figures, Round, Table

ROUNDS: tuple[Round, ...] = (
    hostile.ROUND,
    api.ROUND,
    parsers.ROUND,
    polls.ROUND,
    kills.ROUND,
    faults.ROUND,
    outages.ROUND,
    folders.ROUND,
    clocks.ROUND,
    marked.ROUND,
)

_SEEDS = 2**31


def main(arguments: Sequence[str] | None = None, rounds: Sequence[Round] = ROUNDS) -> int:
    """Run the named rounds one after another; the exit code is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="./run torture")
    parser.add_argument("names", nargs="*", metavar="ROUND", help=", ".join(each.name for each in rounds))
    parser.add_argument("--list", action="store_true", help="say what each round shows, and run none")
    parser.add_argument("--size", type=int, help="how much is done, in what the round counts (see --list)")
    parser.add_argument("--seed", type=int, help="do again what was done with this seed")
    parser.add_argument(
        "--no-cluster", action="store_true", help="leave out what needs the throwaway cluster"
    )
    asked = parser.parse_args(arguments)
    known = {each.name: each for each in rounds}
    unknown = set(asked.names) - set(known)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if asked.size is not None and asked.size < 1:
        parser.error("--size must be 1 or more")
    if asked.list:
        for each in rounds:
            _say(_headline(each), f"  {each.size} {each.counts}; {_needs(each)}")
        return 0
    seed = secrets.randbelow(_SEEDS) if asked.seed is None else asked.seed
    wanted = [known[name] for name in asked.names] or list(rounds)
    broken = [
        each.name
        for each in wanted
        if not (asked.no_cluster and each.needs_cluster) and not _passed(each, asked.size or each.size, seed)
    ]
    if broken:
        _say(f"broken: {', '.join(broken)}; the same again: ./run torture --seed {seed} {' '.join(broken)}")
    return 1 if broken else 0


def _passed(each: Round, size: int, seed: int) -> bool:
    """Run it and show its figures."""
    _say(_headline(each), f"  {size} {each.counts}, seed {seed}")
    folder = Path(tempfile.mkdtemp(prefix=f"torture-{each.name}-"))
    begun = time.monotonic()
    figures: Figures
    try:
        figures = each.run(size, seed, folder)
    except Exception:
        figures = Table(broken=traceback.format_exc().splitlines())
    said = list(figures.lines())
    told = [line for line in figures.broken if not any(line in shown for shown in said)]
    _say(*(f"  {line}" for line in said), *(f"  BROKEN {line}" for line in told))
    passed = not figures.broken
    _say(f"  {'passed' if passed else f'broken; logs are in {folder}'}, {time.monotonic() - begun:.0f} s")
    if passed:
        shutil.rmtree(folder, ignore_errors=True)
    return passed


def _headline(each: Round) -> str:
    return f"{each.name:9} {each.shows}"


def _needs(each: Round) -> str:
    return "needs the throwaway cluster" if each.needs_cluster else "needs no cluster"


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
