"""One at a time for each key, and no waiting without an end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import Unavailable
from pipeline.turns import Turns


def test_who_waits_gets_the_key_when_it_is_given_back() -> None:
    turns = Turns()
    begun = threading.Event()

    def wait() -> bool:
        begun.set()
        with turns.of("a"):
            return True

    with ThreadPoolExecutor(1) as pool:
        with turns.of("a"):
            waiting = pool.submit(wait)
            begun.wait(5)
            assert not waiting.done()
        assert waiting.result(5)


def test_waiting_ends_and_leaves_the_key_to_who_has_it() -> None:
    turns = Turns()
    with turns.of("a"):
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"not done after 0\.01 s"), turns.of("a", patience=0.01):
                pass
        with turns.of("b"):
            pass
    with turns.of("a", patience=0):
        pass
