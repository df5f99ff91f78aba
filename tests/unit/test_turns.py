"""One at a time, for each key or for all, and no waiting without an end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import Unavailable
from pipeline.turns import OneForAll, Turns
from tests.harness.waiting import eventually


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


def test_who_waits_for_one_that_fails_has_its_failure() -> None:
    one_for_all, asked = OneForAll(), []
    together, go_on = threading.Barrier(4), threading.Event()

    def ask(number: int) -> None:
        together.wait(5)
        with one_for_all.turn("not known"):
            asked.append(number)
            go_on.wait(5)
            raise Unavailable("away")

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(3)]
        together.wait(5)
        eventually(lambda: asked, what="one that asks")
        with pytest.raises(Unavailable, match="not known"), one_for_all.turn("not known", patience=0.5):
            pass
        go_on.set()
        assert [str(one.exception(5)) for one in asking] == ["away"] * 3
    assert len(asked) == 1


def test_who_asks_after_a_failure_asks_for_itself() -> None:
    one_for_all = OneForAll()
    with pytest.raises(Unavailable, match="away"), one_for_all.turn("not known"):
        raise Unavailable("away")
    with one_for_all.turn("not known"):
        pass


def test_a_failure_is_not_handed_on_once_another_has_succeeded() -> None:
    one_for_all = OneForAll()
    with pytest.raises(Unavailable), one_for_all.turn("not known"):
        raise Unavailable("away")
    with one_for_all.turn("not known"):
        pass
    one_for_all._failures += 1  # as it is for one that has waited since before the failure
    with one_for_all.turn("not known"):
        pass
