"""The limits of one client, as the settings have them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.service import Service
from tests.service.conftest import LOCAL


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = {
        "JARVICE_SCHED_SERVER_KEY": "portal:the-right-one",
        "JARVICE_DOWNSTREAM_REQUEST_RATE": "5",
        "JARVICE_DOWNSTREAM_WRONG_LOGINS": "3",
    }
    service = Service(tmp_path_factory.mktemp("limited"), {**LOCAL, **limits}).start()
    yield service
    service.stop()


def test_guesses_and_floods_are_refused_and_probes_answered(service: Service) -> None:
    service.http.auth = ("portal", "a-guess")
    assert [service.get("/running").status_code for _ in range(5)] == [401] * 3 + [429] * 2
    service.http.auth = ("portal", "the-right-one")
    replies = [service.get("/running") for _ in range(50)]
    assert {reply.status_code for reply in replies} == {429}, "no login is looked at for a while"
    assert {reply.json()["error"] for reply in replies} == {
        "too many wrong logins from 127.0.0.1",
        "too many requests from 127.0.0.1",
    }
    assert all(int(reply.headers["Retry-After"]) >= 1 for reply in replies)
    assert service.get("/live").status_code == 200
    assert service.log().count("too many") - service.log().count("429 too many") == 2
