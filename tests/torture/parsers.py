"""Whatever others have written is read, or refused in so many words, in time: parsers do nothing else."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from pipeline import redaction
from pipeline.slurm import hostlist
from tests.torture.drawing import drawn
from tests.torture.parser_table import PARSERS, Parser
from tests.torture.rounds import Round, Table

_LONG_IN = 40
"""Of so many texts one is long."""
_LONG = 100_000
"""Characters of a long one."""
_CPU_SECONDS = 2.0
"""For a long one, of which plain reading takes hundredths; an expression that tries all ways, years."""
_MOST_BYTES = 200 * 1024 * 1024
_PIECES = (
    b"|",
    b":",
    b",",
    b"\n",
    b"\r\n",
    b"\0",
    b"=",
    b"/",
    b"\\",
    b'"',
    b"'",
    b"#",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[",
    b"<<",
    b"-",
    b"--",
    b"@",
    b"%",
    b" ",
    b"\t",
    b"\xff",
    b"\xed\xa0\x80",
    "é\u2028\u0085😀²".encode(),
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"9" * 30,
    b"9" * 5000,
    b"null",
    b"true",
    b"None",
    b"\\ud800",
    b"\\u0000",
    b"n[1-999999999]",
    b"[1-9][1-9]",
    b"[0-99999]",
    b"&a [*a,*a]",
    b"!!python/object:x",
    b"MARK|",
    b"|MARK:",
    b"jarvice_",
    b"eyJ",
    b"Basic ",
    b"://a:",
    b"==",
    b".",
    b"*",
)


def run(size: int, seed: int, folder: Path) -> Table:
    """Give each parser so many texts."""
    table = Table()
    kinds: Counter[str] = Counter()
    slowest = (0.0, "nothing")
    for parser in PARSERS:
        chance = random.Random(f"{seed} {parser.name}")
        for data in _texts(parser, size, chance):
            begun = time.thread_time()
            kind = _read(parser, data, table)
            took = time.thread_time() - begun
            slowest = max(slowest, (took, f"{parser.name}, {len(data)} bytes"))
            kinds[kind] += 1
            if took > _CPU_SECONDS:
                table.broken.append(f"{parser.name}: {took:.1f} s for {_shown(data)}")
            if len(table.broken) > _MOST_TOLD:
                break
    peak = _memory(table)
    lists = _host_lists(table, random.Random(seed), size)
    table.figures |= {
        "parsers": len(PARSERS),
        "texts": sum(kinds.values()),
        "read": kinds["read"],
        "refused": kinds["refused"],
        "host lists as the reference has them": lists,
        "slowest": f"{slowest[0]:.3f} s of CPU: {slowest[1]}",
        "most memory for lists of hosts": f"{peak / 1024 / 1024:.0f} MiB",
    }
    return table


_MOST_TOLD = 20


def _read(parser: Parser, data: bytes, table: Table) -> str:
    try:
        parser.read(data)
    except parser.may_raise as fault:
        try:
            str(fault).encode("utf-8")
        except UnicodeEncodeError:
            table.broken.append(f"{parser.name}: a message that cannot be sent, of {_shown(data)}")
        return "refused"
    except Exception as fault:
        table.broken.append(f"{parser.name}: {type(fault).__name__} {str(fault)[:100]!r} of {_shown(data)}")
    finally:
        redaction.forget_here()
    return "read"


def _texts(parser: Parser, count: int, chance: random.Random) -> Iterator[bytes]:
    """Good texts, then Hypothesis' after some harm; now and then a long one."""
    yield from parser.good[:count]
    for number, data in enumerate(drawn(_harmed_texts(parser), count - len(parser.good[:count]), chance)):
        yield data if number % _LONG_IN else _long(data, chance)


def _harmed_texts(parser: Parser) -> st.SearchStrategy[bytes]:
    good = st.sampled_from(list(parser.good))
    pieces = st.sampled_from(_PIECES) | st.binary(max_size=8) | st.just(b"") | good
    harms = st.tuples(st.integers(0, 10_000), st.integers(0, 20), pieces, st.sampled_from((1, 1, 2, 50)))
    return st.builds(_harmed, good, st.lists(harms, min_size=1, max_size=8)) | st.binary(max_size=200)


def _harmed(data: bytes, harms: list[tuple[int, int, bytes, int]]) -> bytes:
    """At each place so many bytes are cut out, and a piece is put in so many times."""
    for place, cut, piece, times in harms:
        start = place % (len(data) + 1)
        data = data[:start] + piece * times + data[start + cut :]
    return data[:_LONG]


def _long(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    piece = chance.choice((chance.choice(_PIECES), data[start : start + chance.randrange(1, 9)] or b"a"))
    return (data[:start] + piece * (_LONG // len(piece)) + data[start:])[: 2 * _LONG]


def _shown(data: bytes) -> str:
    return f"{len(data)} bytes: {data[:160]!r}"


def _memory(table: Table) -> int:
    """What is taken at the most for lists that stand for more hosts than there are."""
    tracemalloc.start()
    for text in (
        "n[1-999999999]",
        "n[0-99999]" * 3,
        ",".join(["n[1-99999]"] * 50),
        "[0-9]" * 200,
        "[1,1]" * 2000,
    ):
        try:
            hostlist.expand(text)
        except ValueError:
            continue
        except Exception as fault:
            table.broken.append(f"hostlist: {type(fault).__name__} of {text[:60]!r}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if peak > _MOST_BYTES:
        table.broken.append(f"hostlist: takes {peak} bytes")
    return peak


def _host_lists(table: Table, chance: random.Random, count: int) -> int:
    """Lists that are read as the plainest reading there is reads them; how many of them."""
    for _ in range(count):
        text = ",".join(_a_host(chance) for _ in range(chance.randrange(1, 5)))
        if list(hostlist.expand(text)) != _reference(text):
            table.broken.append(f"hostlist: {text} is read as {hostlist.expand(text)[:20]}")
    return count


def _a_host(chance: random.Random) -> str:
    text = chance.choice(("n", "gpu-", "r1c"))
    for _ in range(chance.randrange(3)):
        ranges = []
        for _ in range(chance.randrange(1, 4)):
            first, width = chance.randrange(120), chance.choice((1, 2, 4))
            last = first + chance.randrange(4)
            ranges.append(chance.choice((f"{first:0{width}}-{last:0{width}}", f"{first:0{width}}")))
        text += f"[{','.join(ranges)}]{chance.choice(('', '-x', 'c'))}"
    return text


def _reference(text: str) -> list[str]:
    """The first brackets of each host are written out, until there are none."""
    found = re.search(r"([^,\[\]]*)\[([^\]]*)\]((?:[^,\[]|\[[^\]]*\])*)", text)
    if not found:
        return text.split(",")
    head, ranges, tail = found.groups()
    one_by_one = []
    for each in ranges.split(","):
        first, _, last = each.partition("-")
        one_by_one += [str(n).rjust(len(first), "0") for n in range(int(first), int(last or first) + 1)]
    written_out = ",".join(f"{head}{number}{tail}" for number in one_by_one)
    return _reference(text[: found.start()] + written_out + text[found.end() :])


ROUND = Round(
    "parsers",
    "Whatever others have written is read, or refused in so many words, in bounded time and memory.",
    5000,
    "texts for each parser",
    run,
)
