"""What one client may ask for: requests, wrong logins, fields of a form."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from pipeline.api import Doorkeeper, create_app
from pipeline.api.limits import MOST_FIELDS, Buckets
from pipeline.downstream import Downstream
from pipeline.errors import TooManyRequests
from tests.harness.fake_connector import Clock

RIGHT, WRONG = ("portal", "the right one"), ("portal", "a wrong one")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client(clock: Clock, *, a_second: float = 0, wrong_a_minute: float = 0, key: str = "") -> FlaskClient:
    doorkeeper = Doorkeeper(
        key, requests_a_second=a_second, wrong_logins_a_minute=wrong_a_minute, clock=clock
    )  # fmt: skip
    downstream = Mock(Downstream, **{"running.return_value": [], "silence.return_value": None})
    return create_app(downstream, doorkeeper=doorkeeper).test_client()


def ask(
    client: FlaskClient, login: tuple[str, str] | None = None, address: str = "192.0.2.1"
) -> TestResponse:
    return client.get("/running", auth=login, environ_base={"REMOTE_ADDR": address})


def test_a_burst_is_answered_and_then_a_steady_rate(clock: Clock) -> None:
    portal = client(clock, a_second=10)
    assert [ask(portal).status_code for _ in range(22)] == [200] * 20 + [429] * 2
    clock.now += 1
    assert [ask(portal).status_code for _ in range(11)] == [200] * 10 + [429]


def test_who_asks_too_much_is_told_when_to_come_again(clock: Clock) -> None:
    portal = client(clock, a_second=1)
    replies = [ask(portal) for _ in range(3)]
    assert replies[-1].headers["Retry-After"] == "1"
    assert replies[-1].get_json() == {"error": "too many requests from 192.0.2.1"}


def test_others_and_probes_are_answered_meanwhile(clock: Clock) -> None:
    portal = client(clock, a_second=1)
    assert {ask(portal).status_code for _ in range(9)} == {200, 429}
    assert ask(portal, address="192.0.2.2").status_code == 200
    for probe in ("/live", "/ready"):
        assert portal.get(probe, environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 200


def test_what_a_client_says_of_its_address_counts_for_nothing(clock: Clock) -> None:
    portal = client(clock, a_second=1)
    said = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(9)]
    assert portal.get("/running", headers=said[0]).status_code == 200
    assert {portal.get("/running", headers=one).status_code for one in said} == {200, 429}


def test_who_has_a_network_of_ipv6_has_one_share(clock: Clock) -> None:
    portal = client(clock, key=":".join(RIGHT), wrong_a_minute=6)
    addresses = [f"2001:db8:1:2:{number:x}::{number:x}" for number in range(1, 9)]
    replies = [ask(portal, WRONG, address) for address in addresses]
    assert [reply.status_code for reply in replies] == [401] * 6 + [429] * 2
    assert replies[-1].get_json() == {"error": "too many wrong logins from 2001:db8:1:2::/64"}
    assert ask(portal, RIGHT, "2001:db8:1:3::1").status_code == 200


def test_ipv4_in_ipv6_is_ipv4(clock: Clock) -> None:
    portal = client(clock, a_second=1)
    assert [ask(portal, address="::ffff:192.0.2.1").status_code for _ in range(3)] == [200, 200, 429]
    assert ask(portal, address="192.0.2.1").status_code == 429
    for other in ("::ffff:192.0.2.2", "fe80::1%eth0", "nonsense", "::1"):
        assert ask(portal, address=other).status_code == 200


def test_without_a_limit_there_is_none(clock: Clock) -> None:
    portal = client(clock, key=":".join(RIGHT))
    assert {ask(portal, WRONG).status_code for _ in range(200)} == {401}
    assert {ask(portal, RIGHT).status_code for _ in range(200)} == {200}


def test_who_guesses_logins_learns_nothing_for_a_while(clock: Clock) -> None:
    portal = client(clock, key=":".join(RIGHT), wrong_a_minute=6)
    assert [ask(portal, WRONG).status_code for _ in range(8)] == [401] * 6 + [429] * 2
    assert ask(portal, RIGHT).status_code == 429
    assert ask(portal, RIGHT, address="192.0.2.2").status_code == 200
    clock.now += 10
    assert ask(portal, RIGHT).status_code == 200
    assert [ask(portal, WRONG).status_code for _ in range(2)] == [401, 429]


def test_right_logins_do_not_count(clock: Clock) -> None:
    portal = client(clock, key=":".join(RIGHT), wrong_a_minute=2)
    assert {ask(portal, RIGHT).status_code for _ in range(50)} == {200}


def test_a_flood_is_a_line_in_the_log_and_not_a_flood_of_lines(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    portal = client(clock, a_second=1)
    caplog.set_level(logging.INFO)
    for _ in range(50):
        ask(portal)
    assert [record.getMessage() for record in caplog.records] == [
        "too many requests from 192.0.2.1; more are refused for 1 s or longer"
    ]


def test_the_memory_of_addresses_is_bounded(clock: Clock) -> None:
    buckets = Buckets(1, 1, "requests", clock=clock)
    for number in range(10_000):
        buckets.take(str(number))
    assert len(buckets) < 5000
    with pytest.raises(TooManyRequests):
        buckets.take("9999")


@pytest.mark.parametrize("fields", ["args=%7B%7D&" + "a=1&" * MOST_FIELDS, "&" * 1_000_000])
def test_a_form_of_many_fields_is_refused(clock: Clock, fields: str) -> None:
    reply = client(clock).post(
        "/runstatus", data=fields, content_type="application/x-www-form-urlencoded"
    )  # fmt: skip
    assert reply.status_code == 413
    assert "16 fields" in reply.get_json()["error"]


def test_a_multipart_form_of_many_fields_is_refused(clock: Clock) -> None:
    many = {f"field{number}": "x" for number in range(MOST_FIELDS + 1)}
    reply = client(clock).post("/runstatus", data=many, content_type="multipart/form-data")
    assert reply.status_code == 413
