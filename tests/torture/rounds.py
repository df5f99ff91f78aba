"""What a round of ``./run torture`` is, and how its figures are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Figures(Protocol):
    """What came of a round."""

    def lines(self) -> Sequence[str]:
        """The figures, for people: a line each. What was broken is among them or not, as the round likes."""
        ...

    @property
    def broken(self) -> Sequence[str]:
        """Promises that were broken, a line each. None: the round was passed."""
        ...


@dataclass(frozen=True)
class Round:
    """One round. The same size and seed do the same again, as far as chance is ours."""

    name: str
    shows: str
    """What is known once it is passed: a sentence."""
    size: int
    """How much is done unless somebody says otherwise: a size that takes minutes."""
    counts: str
    """What the size counts: ``jobs``, ``kills``..."""
    run: Callable[[int, int, Path], Figures]
    """Does it, with a size, a seed and an empty folder for logs and such.

    The folder is kept when something broke. What is raised counts as a broken promise.
    """
    needs_cluster: bool = False


@dataclass
class Table:
    """Figures by name, for rounds that need no more than this."""

    figures: dict[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures in two columns."""
        width = max(map(len, self.figures), default=0)
        return [f"{name:{width}}  {figure}" for name, figure in self.figures.items()]
