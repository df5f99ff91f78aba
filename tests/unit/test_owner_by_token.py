"""Whose job it is when the bearer token itself says so."""

from __future__ import annotations

import secrets
import time

import jwt
import pytest

from pipeline.errors import InvalidRequest, NotAllowed
from pipeline.identity import expired_since, owner_by_token, unverified

CLAIMS = ("sun", "preferred_username")


def bearer(**claims: object) -> str:
    return jwt.encode(dict(claims), secrets.token_hex(32), algorithm="HS256")


@pytest.mark.parametrize("user", ["kirby", "k", "_apt", "Kirby.of-the_Stars2", "host$", "k" * 64])
def test_the_user_of_a_token(user: str) -> None:
    token = bearer(sun=user)
    for text in (token, f"Bearer {token}", f" {token}\n"):
        owner = owner_by_token(unverified(text), CLAIMS)
        assert (owner.user, owner.token, owner.private_key) == (user, token, "")


def test_the_first_claim_that_is_there_counts() -> None:
    token = bearer(preferred_username="kirby", sun="mario", uid="dovahkiin")
    assert owner_by_token(unverified(token), ("preferred_username", "sun")).user == "kirby"
    assert owner_by_token(unverified(token), ("sun", "preferred_username")).user == "mario"
    assert owner_by_token(unverified(token), ("nosuch", "uid")).user == "dovahkiin"


@pytest.mark.parametrize("claims", [{}, {"sun": ""}, {"sun": None}, {"email": "kirby@example.com"}])
def test_a_token_that_names_nobody_is_told_with_the_claims(claims: dict[str, object]) -> None:
    with pytest.raises(
        NotAllowed, match=r"no claim sun or preferred_username.*JARVICE_SLURMRESTD_USER_CLAIM"
    ):
        owner_by_token(unverified(bearer(**claims)), CLAIMS)


@pytest.mark.parametrize(
    "user",
    [
        "kirby; rm -rf /", "-x", "--help", "1000", "../root", "a/b", ".", "..", "kirby\n", "kirby ", " kirby",
        "$(id)", "`id`", "kirby%u", "kirby@example.com", "k\0", "é", "\uff4birby", "k" * 65, "$",
        5, True, 1.5, ["kirby"], {"kirby": 1},
    ],
)  # fmt: skip
def test_what_is_no_user_name_is_refused_and_not_repeated(user: object) -> None:
    with pytest.raises(NotAllowed, match=r"is not the name of a user of the cluster$") as fault:
        owner_by_token(unverified(bearer(sun=user)), CLAIMS)
    assert str(user) not in fault.value.message or len(str(user)) < 3


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é", "a b", "a\r\nX-SLURM-USER-NAME: root", "\0"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^bearer: is not a JSON Web Token"):
        unverified(text)


def test_when_a_token_has_expired() -> None:
    now = int(time.time())
    assert expired_since(bearer(exp=now - 10)) == now - 10
    assert expired_since(bearer(exp=1000.5)) == 1000
    assert expired_since(bearer(exp=now + 100)) is None
    assert expired_since(bearer()) is None


@pytest.mark.parametrize("exp", [-1, -1e300, float("-inf"), float("nan"), float("inf"), "soon", None, [1]])
def test_a_time_that_is_none_is_not_told(exp: object) -> None:
    assert expired_since(bearer(exp=exp)) is None


def test_owners_do_not_show_what_lets_them_in() -> None:
    token = bearer(sun="kirby")
    assert token not in repr(owner_by_token(unverified(token), CLAIMS))
