"""A small part of what ``./run torture parsers`` does."""

from __future__ import annotations

import random
from pathlib import Path

from tests.torture import parsers
from tests.torture.parser_table import PARSERS, Parser
from tests.torture.rounds import Table


def test_whatever_is_written_is_read_or_refused_in_time(tmp_path: Path) -> None:
    table = parsers.run(60, 1, tmp_path)
    assert not table.broken, "\n".join(table.broken)
    assert table.figures["texts"] == 60 * len(PARSERS)


def test_the_good_texts_are_good() -> None:
    table = Table()
    never_read = [
        parser.name
        for parser in PARSERS
        if "read" not in [parsers._read(parser, text, table) for text in parser.good]
    ]
    assert (never_read, table.broken) == ([], [])


def test_a_parser_that_fails_otherwise_is_told() -> None:
    table = Table()
    parsers._read(Parser("int", lambda data: int(data), [b"7"], (TypeError,)), b"x", table)
    assert table.broken[0].startswith("int: ValueError ")


def test_the_same_seed_makes_the_same_texts() -> None:
    made = [list(parsers._texts(PARSERS[0], 50, random.Random(7))) for _ in range(2)]
    assert made[0] == made[1]
    assert len({len(text) for text in made[0]}) > 10
