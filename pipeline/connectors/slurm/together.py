"""Asking slurmrestd for many things at the same time: it has no way to ask for a few jobs at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline.errors import DownstreamError

_AT_A_TIME = 8
"""slurmrestd has 20 threads by default."""

_Key = TypeVar("_Key", bound=Hashable)
_Answer = TypeVar("_Answer")


@dataclass
class Answers(Generic[_Key, _Answer]):
    """What was answered in time, in the order of asking."""

    found: dict[_Key, _Answer] = field(default_factory=dict)
    faults: dict[_Key, DownstreamError] = field(default_factory=dict)
    late: list[_Key] = field(default_factory=list)


class Together:
    """Threads of its own for one kind of question, so that no other waits for it."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix=name)

    def ask(
        self, question: Callable[[_Key], _Answer], keys: Iterable[_Key], seconds: float
    ) -> Answers[_Key, _Answer]:
        """Ask for each key; after ``seconds`` nobody waits any more, and what was not begun is called off."""
        asked = {key: self._pool.submit(question, key) for key in keys}
        _, late = wait(asked.values(), timeout=max(0.1, seconds))
        for future in late:
            future.cancel()
        answers: Answers[_Key, _Answer] = Answers()
        for key, future in asked.items():
            if future in late:
                answers.late.append(key)
            elif not (fault := future.exception()):
                answers.found[key] = future.result()
            elif isinstance(fault, DownstreamError):
                answers.faults[key] = fault
            else:  # a fault of this program
                raise fault
        return answers

    def close(self) -> None:
        """End the threads when they are done with what they have begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
