"""Examples from Hypothesis, as many as are wanted: nothing is searched for or made simpler."""

from __future__ import annotations

import random
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

_Example = TypeVar("_Example")


def drawn(strategy: st.SearchStrategy[_Example], count: int, chance: random.Random) -> list[_Example]:
    """So many examples, the simplest one left out; the same ones for the same state of chance."""
    found: list[_Example] = []

    @seed(chance.getrandbits(32))
    @settings(
        max_examples=count + 1, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def draw(example: _Example) -> None:
        found.append(example)

    draw()
    return found[1 : count + 1]
