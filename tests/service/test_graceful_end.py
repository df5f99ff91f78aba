"""A service that is told to end finishes what is under way, refuses the rest, and is gone in time."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests

from tests.harness.fake_slurmrestd import FakeSlurmrestd, token
from tests.harness.forms import form, script
from tests.harness.service import Service
from tests.harness.waiting import eventually, within

KIRBY = token("kirby")


@pytest.fixture
def serve(slurmrestd: FakeSlurmrestd, start_service: Callable[..., Service]) -> Callable[..., Service]:
    def start(**more: str) -> Service:
        return start_service(slurmrestd.environment | {"JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1"} | more)

    return start


class Ending:
    """A service that was told to end while a submission of it waits for slurmrestd."""

    def __init__(self, service: Service, slurmrestd: FakeSlurmrestd, how: signal.Signals) -> None:
        self.service = service
        self.kept = service.another_client()
        assert self.kept.get("/live").ok, "a connection that is kept"
        self._pool = ThreadPoolExecutor(1)
        client = service.another_client()
        self.submission: Future[requests.Response] = self._pool.submit(
            client.post, "/submit", form(script("echo"), bearer=KIRBY)
        )
        eventually(lambda: slurmrestd.calls("POST job/submit"), seconds=10, pause=0.02)
        service.signal(how)
        eventually(lambda: self._probe("/ready") == 503, seconds=5, pause=0.02, what="/ready 503")

    def _probe(self, path: str) -> int:
        return requests.get(self.service.url + path, timeout=10).status_code


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_is_under_way_has_its_reply_and_what_comes_later_is_refused(
    serve: Callable[..., Service], slurmrestd: FakeSlurmrestd, how: signal.Signals
) -> None:
    service = serve()
    with slurmrestd.slow("POST job/submit") as go_on:
        end = Ending(service, slurmrestd, how)
        for client in (end.kept, service.another_client()):
            refused = client.get("/running")
            assert (refused.status_code, refused.headers["Connection"]) == (503, "close")
            assert "is ending" in refused.json()["error"]
        assert requests.get(service.url + "/live", timeout=10).json() == {"status": "OK"}
        service.signal(signal.SIGTERM)  # a second one changes nothing
        go_on.set()
        reply = end.submission.result(20)
    assert reply.status_code == 200, reply.text
    assert reply.headers["Connection"] == "close"
    [job] = slurmrestd.jobs
    assert reply.json()[0] == str(job)
    assert service.exit_code(seconds=5) == 0
    assert service.log().rstrip().endswith("downstream ended")
    with pytest.raises(requests.ConnectionError):
        service.get("/live")


def test_what_hangs_does_not_hold_the_end_for_longer_than_was_said(
    serve: Callable[..., Service], slurmrestd: FakeSlurmrestd
) -> None:
    service = serve(JARVICE_DOWNSTREAM_STOP_TIMEOUT="3")
    with slurmrestd.slow("POST job/submit"):
        end = Ending(service, slurmrestd, signal.SIGTERM)
        with within(6):
            assert service.exit_code(seconds=10) == 0
        with pytest.raises(requests.ConnectionError):
            end.submission.result(5)
    assert "1 requests are not done after 3 s and are cut off" in service.log()


def test_a_poll_that_hangs_does_not_hold_it_either(
    serve: Callable[..., Service], slurmrestd: FakeSlurmrestd
) -> None:
    service = serve(JARVICE_DOWNSTREAM_STOP_TIMEOUT="0.5")
    slurmrestd.add(7, "jarvice_1-x_s1")
    with slurmrestd.slow("GET job/"), ThreadPoolExecutor(1) as pool:
        poll = pool.submit(service.another_client().get, "/running")
        eventually(lambda: slurmrestd.calls("GET job/"), seconds=10, pause=0.02)
        service.signal(signal.SIGTERM)
        assert service.exit_code(seconds=5) == 0
        with pytest.raises(requests.ConnectionError):
            poll.result(5)


def test_a_poll_that_hangs_and_that_nobody_waits_for_does_not_hold_it_either(
    serve: Callable[..., Service], slurmrestd: FakeSlurmrestd
) -> None:
    """As one that a probe has set off: no request is under way."""
    service = serve()
    service.running()
    slurmrestd.add(7, "jarvice_1-x_s1")
    with slurmrestd.slow("GET job/"):
        eventually(lambda: service.get("/ready") and slurmrestd.calls("GET job/"), seconds=10, pause=0.05)
        service.signal(signal.SIGTERM)
        assert service.exit_code(seconds=5) == 0


def test_a_service_with_nothing_to_do_ends_at_once(serve: Callable[..., Service]) -> None:
    service = serve()
    service.running()
    with within(2):
        service.signal(signal.SIGTERM)
        assert service.exit_code(seconds=5) == 0


def test_who_presses_ctrl_c_twice_does_not_wait(
    serve: Callable[..., Service], slurmrestd: FakeSlurmrestd
) -> None:
    service = serve()
    with slurmrestd.slow("POST job/submit"):
        Ending(service, slurmrestd, signal.SIGINT)
        service.signal(signal.SIGINT)
        assert service.exit_code(seconds=5) == 130


def test_signals_that_come_while_it_ends_change_nothing(
    serve: Callable[..., Service], slurmrestd: FakeSlurmrestd
) -> None:
    service = serve(JARVICE_DOWNSTREAM_STOP_TIMEOUT="3")
    over = threading.Event()

    def again() -> None:
        while not over.wait(0.01):
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGTERM)

    with slurmrestd.slow("POST job/submit"):
        Ending(service, slurmrestd, signal.SIGTERM)
        thread = threading.Thread(target=again)
        thread.start()
        try:
            assert service.exit_code(seconds=10) == 0
        finally:
            over.set()
            thread.join()
    assert "downstream ended" in service.log()
    assert "Traceback" not in service.log()
