"""Which bearer tokens are believed: what attackers send, and what honest providers do."""

from __future__ import annotations

import json
import math
import time
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bearers import bearers_for
from pipeline.bearers.accepted import Verified
from pipeline.bearers.claims import Demands
from pipeline.bearers.keys import read_keys
from pipeline.bearers.sources import GivenKeys
from pipeline.errors import BearerRefused, CallerError, InvalidRequest, NotAllowed
from pipeline.identity import MOST_TOKEN_BYTES, mail_of
from pipeline.settings import load
from pipeline.settings.bearers import ALGORITHMS
from tests.harness.oidc import IdentityProvider, SigningKey

PROVIDER = IdentityProvider("https://login.example.com")
CURVE, EDWARDS = SigningKey("ES256"), SigningKey("EdDSA")
PROVIDER.others += [CURVE, EDWARDS]
STRANGER = SigningKey("RS256")
NOW = 1_700_000_000.0


def verified(
    text: str | None = None,
    *,
    algorithms: tuple[str, ...] = ALGORITHMS,
    now: float | None = None,
    **demands: Any,
) -> Verified:
    """What verifies with the keys in a text, else with the provider's."""
    keys = read_keys(text or json.dumps(PROVIDER.jwks()), ALGORITHMS)
    clock = time.time if now is None else lambda: now
    return Verified(GivenKeys(keys), algorithms, Demands(**demands), clock)


def refused(token: str, bearers: Verified | None = None, *, demanding: Any = None) -> str:
    """Why a token is not believed; the reason never holds the token."""
    with pytest.raises(BearerRefused) as fault:
        (bearers or verified(**(demanding or {}))).of(token)
    assert token not in fault.value.message
    return fault.value.message


def claims(**changed: Any) -> dict[str, Any]:
    return PROVIDER.claims("kirby", **changed)


def timed(**times: object) -> str:
    """A token that has these times and no others."""
    return PROVIDER.key.sign({**claims(exp=None, iat=None), **times})


def raw(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> str:
    """A token that no library would make."""
    parts = [json.dumps(part).encode() for part in (header, body)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


@pytest.mark.parametrize("key", [PROVIDER.key, CURVE, EDWARDS], ids=lambda key: key.algorithm)
def test_a_token_that_the_provider_signed_is_believed(key: SigningKey) -> None:
    token = key.sign(claims())
    for text in (token, f"Bearer {token}", f" {token}\n"):
        bearer = verified().of(text)
        assert (bearer.token, mail_of(bearer)) == (token, "kirby@example.com")
        assert token not in repr(bearer)
        assert "kirby" not in repr(bearer)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_an_rsa_key_signs_in_several_ways(algorithm: str) -> None:
    keys = json.dumps({"keys": [STRANGER.jwk(alg=None)]})
    token = jwt.encode(claims(), STRANGER.private, algorithm=algorithm, headers={"kid": STRANGER.id})
    assert verified(keys).of(token).token == token


def test_a_token_need_not_name_its_key() -> None:
    token = jwt.encode(claims(), CURVE.private, algorithm="ES256")
    assert verified().of(token).token == token


# What attackers send.


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature(name: str) -> None:
    for kid in ({}, {"kid": PROVIDER.key.id}):
        token = raw({"typ": "JWT", "alg": name, **kid}, claims())
        assert "which is not one of RS256" in refused(token)


def test_a_token_that_says_no_algorithm() -> None:
    assert "signed with 'none'" in refused(raw({"kid": PROVIDER.key.id}, claims()))


@pytest.mark.parametrize("algorithm", [["RS256"], {"RS256": 1}, None, 5, True])
def test_an_algorithm_that_is_no_text(algorithm: object) -> None:
    refused(raw({"alg": algorithm, "kid": PROVIDER.key.id}, claims(), b"x" * 256))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_signed_with_the_public_key_as_if_it_were_a_secret(algorithm: str) -> None:
    public = PROVIDER.key.private.public_key()
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.PEM, PublicFormat.PKCS1),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        secret = public.public_bytes(encoding, form)
        signer = jwt.algorithms.HMACAlgorithm(getattr(jwt.algorithms.HMACAlgorithm, f"SHA{algorithm[2:]}"))
        head = raw({"alg": algorithm, "kid": PROVIDER.key.id}, claims()).rstrip(".")
        signature = urlsafe_b64encode(signer.sign(head.encode(), secret)).rstrip(b"=").decode()
        for keys in (None, secret.decode() if encoding is Encoding.PEM else None):
            assert f"signed with {algorithm!r}" in refused(f"{head}.{signature}", verified(keys))


def test_a_key_of_ones_own_under_the_name_of_the_providers() -> None:
    token = jwt.encode(claims(), STRANGER.private, algorithm="RS256", headers={"kid": PROVIDER.key.id})
    assert "signature is not one of the identity provider's" in refused(token)


def test_another_providers_token() -> None:
    assert f"has not (kid {STRANGER.id!r})" in refused(STRANGER.sign(claims()))


def test_another_kind_of_signature_than_the_keys() -> None:
    for key, algorithm in ((CURVE, "RS256"), (PROVIDER.key, "ES256"), (EDWARDS, "ES256"), (CURVE, "EdDSA")):
        other = SigningKey(algorithm)
        token = jwt.encode(claims(), other.private, algorithm=algorithm, headers={"kid": key.id})
        refused(token)


def test_a_way_of_signing_that_the_key_is_not_for() -> None:
    token = jwt.encode(claims(), PROVIDER.key.private, algorithm="RS512", headers={"kid": PROVIDER.key.id})
    refused(token)


def test_a_way_of_signing_that_the_site_does_not_allow() -> None:
    told = refused(CURVE.sign(claims()), verified(algorithms=("RS256",)))
    assert "signed with 'ES256', which is not one of RS256 (JARVICE_DOWNSTREAM_BEARER_ALGORITHMS)" in told


def test_the_key_for_encryption_never_verifies() -> None:
    [encryption] = [key for key in PROVIDER.others if key.use == "enc"]
    for kid in ({"kid": encryption.id}, {}):
        refused(jwt.encode(claims(), encryption.private, algorithm="RS256", headers=kid))


def test_a_key_for_encryption_under_the_same_name_as_one_for_signatures() -> None:
    twin = SigningKey("RSA-OAEP", use="enc")
    both = json.dumps({"keys": [twin.jwk(kid="x"), CURVE.jwk(kid="x")]})
    refused(jwt.encode(claims(), twin.private, algorithm="RS256", headers={"kid": "x"}), verified(both))
    assert verified(both).of(CURVE.sign(claims(), kid="x"))


def test_two_keys_of_one_name_are_both_the_providers() -> None:
    other = SigningKey("ES256")
    both = json.dumps({"keys": [CURVE.jwk(kid="x"), other.jwk(kid="x")]})
    for key in (CURVE, other):
        assert verified(both).of(key.sign(claims(), kid="x"))
    refused(SigningKey("ES256").sign(claims(), kid="x"), verified(both))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": STRANGER.jwk()},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/certificate"},
        {"x5c": ["MIIB"]},
        {"kid": "http://127.0.0.1:1/keys", "jku": "http://127.0.0.1:1/keys"},
        {"kid": "../../../../dev/null"},
        {"kid": "' or 1=1 --"},
        {"kid": "\0"},
        {"kid": ""},
    ],
)
def test_a_token_does_not_say_where_its_key_is(
    header: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("something was fetched"))
    refused(STRANGER.sign(claims(), **header))


def test_a_header_that_demands_what_is_not_known() -> None:
    body = raw({}, claims()).split(".")[1]
    assert verified().of(_signed(body))
    demands: list[dict[str, Any]] = [
        {"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": True}, {"crit": []}, {"crit": None}
    ]  # fmt: skip
    for header in demands:
        with pytest.raises(CallerError, match="crit"):
            verified().of(_signed(body, **header))


def test_a_signature_of_something_else() -> None:
    first, second = CURVE.sign(claims()), CURVE.sign(claims(email="mario@example.com"))
    head, _, tail = first.split(".")
    refused(".".join([head, second.split(".")[1], tail]))
    refused(".".join([*first.split(".")[:2], ""]))
    refused(first[:-4] + ("AAAA" if first[-4:] != "AAAA" else "BBBB"))


def test_a_token_that_is_too_long_is_not_even_looked_at() -> None:
    token = CURVE.sign(claims(padding="x" * MOST_TOKEN_BYTES))
    with pytest.raises(InvalidRequest, match="more than 65536 bytes"):
        verified().of(token)
    assert verified().of(CURVE.sign(claims(padding="x" * 40_000)))


def test_what_is_no_token_is_told_on_one_line() -> None:
    for header in ({"crit": ["x\n" * 9_000]}, {"kid": 5, "x": "\n" * 9_000}, {"b64": False}):
        with pytest.raises(CallerError) as fault:
            verified().of(raw({"alg": "ES256", **header}, claims()))
        assert len(fault.value.message) < 150
        assert "\n" not in fault.value.message


# What the claims have to say.


def test_an_expired_token_is_told_with_its_time() -> None:
    told = refused(timed(exp=1_600_000_000))
    assert told == "bearer: the token has expired at 2020-09-13T12:26:40Z"


@pytest.mark.parametrize(
    ("times", "holds"),
    [
        ({"exp": NOW + 1}, True),
        ({"exp": NOW - 59}, True),
        ({"exp": NOW - 60}, False),
        ({"exp": NOW - 61}, False),
        ({"exp": NOW + 9, "nbf": NOW + 60}, True),
        ({"exp": NOW + 99, "nbf": NOW + 61}, False),
        ({"exp": NOW + 9, "iat": NOW + 60}, True),
        ({"exp": NOW + 99, "iat": NOW + 61}, False),
        ({"exp": NOW + 9, "nbf": NOW - 1e6, "iat": NOW - 1e6}, True),
        ({"exp": 10**300}, True),
        ({"exp": 1e300}, True),
        ({"exp": NOW + 0.5}, True),
    ],
)
def test_clocks_may_be_apart_as_far_as_the_leeway_goes(times: dict[str, float], holds: bool) -> None:
    bearers = verified(now=NOW, leeway=60)
    if holds:
        assert bearers.of(timed(**times))
    else:
        refused(timed(**times), bearers)


def test_without_leeway_a_second_counts() -> None:
    assert verified(now=NOW, leeway=0).of(timed(exp=NOW + 1))
    refused(timed(exp=NOW), verified(now=NOW, leeway=0))


def test_a_token_that_says_no_end_is_not_believed() -> None:
    for end in ({}, {"exp": None}):
        assert "does not say when it expires (exp)" in refused(timed(**end))
    refused(raw({"alg": "none"}, {"exp": None}))


@pytest.mark.parametrize("value", ["soon", "9999999999", True, [9e9], {}, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_a_time_that_is_none(claim: str, value: object) -> None:
    token = timed(**{"exp": time.time() + 60, claim: value})
    assert f"the token's {claim} is not a time" in refused(token)


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", [10**300, -(10**300), 1e300, -1e300, -1, 0, 10**17])
def test_a_time_of_any_size(claim: str, value: float) -> None:
    token = timed(**{"exp": time.time() + 60, claim: value})
    if (value > 0) == (claim == "exp"):
        assert verified().of(token)
    else:
        refused(token)


def test_the_issuer() -> None:
    demanding: dict[str, Any] = {"issuer": PROVIDER.issuer}
    assert verified(**demanding).of(PROVIDER.token("kirby"))
    for other in (
        "https://login.example.com/realms/other",
        PROVIDER.issuer + "/",
        PROVIDER.issuer[:-1],
        "",
    ):
        told = refused(PROVIDER.token("kirby", iss=other), demanding=demanding)
        assert "(JARVICE_DOWNSTREAM_BEARER_ISSUER)" in told
    told = refused(PROVIDER.token("kirby", iss=None), demanding=demanding)
    assert told.endswith(
        "has no iss; have the identity provider put it in (JARVICE_DOWNSTREAM_BEARER_ISSUER)"
    )
    for wrong in ([PROVIDER.issuer], {PROVIDER.issuer: 1}, 5):
        body = raw({}, claims(iss=wrong)).split(".")[1]
        refused(_signed(body), demanding=demanding)


def _signed(body: str, **headers: object) -> str:
    """A token of the curve's key with this body, whatever it is."""
    head = raw({"alg": "ES256", "kid": CURVE.id, **headers}, {}).split(".")[0]
    signer = jwt.get_algorithm_by_name("ES256")
    signature = signer.sign(f"{head}.{body}".encode(), CURVE.private)
    return f"{head}.{body}." + urlsafe_b64encode(signature).rstrip(b"=").decode()


def test_the_audience() -> None:
    demanding: dict[str, Any] = {"audience": ("downstream", "hpc")}
    for audience in ("hpc", ["account", "downstream"], ["hpc"]):
        assert verified(**demanding).of(PROVIDER.token("kirby", aud=audience))
    for other in ("account", "hp", "hpc ", "", [], ["account"], [["hpc"]], {"hpc": 1}, 5, [5, None]):
        told = refused(PROVIDER.token("kirby", aud=other), demanding=demanding)
        assert "not for 'downstream' or 'hpc' (JARVICE_DOWNSTREAM_BEARER_AUDIENCE)" in told
    told = refused(PROVIDER.token("kirby", aud=None), demanding=demanding)
    assert told.endswith(
        "has no aud; have the identity provider put it in (JARVICE_DOWNSTREAM_BEARER_AUDIENCE)"
    )
    assert verified().of(PROVIDER.token("kirby", aud=None))


@pytest.mark.parametrize(
    ("claim", "believed"),
    [(None, True), (True, True), ("true", True), (False, False), ("false", False), (0, False), ([], False)],
)
def test_a_mail_that_nobody_has_verified_is_nobodys(claim: object, believed: bool) -> None:
    token = PROVIDER.token("kirby", email_verified=claim)
    if believed:
        assert verified().of(token)
    else:
        with pytest.raises(NotAllowed, match=r"email_verified.*JARVICE_DOWNSTREAM_BEARER_UNVERIFIED_MAIL"):
            verified().of(token)
        assert verified(verified_mail=False).of(token)


def test_the_site_names_the_claim_that_holds_the_mail() -> None:
    bearer = verified().of(PROVIDER.token("kirby", upn="kirby@EXAMPLE.com"))
    assert mail_of(bearer, "upn") == "kirby@EXAMPLE.com"
    with pytest.raises(NotAllowed, match="the token has no mail claim, so nobody can be mapped to it"):
        mail_of(bearer, "mail")


@pytest.mark.parametrize(
    ("environment", "counts"),
    [
        ({}, False),
        ({"JARVICE_DOWNSTREAM_BEARER_UNVERIFIED_MAIL": "true"}, True),
        ({"JARVICE_DOWNSTREAM_BEARER_MAIL_CLAIM": "upn"}, True),
        ({"JARVICE_SLURM_INTERFACE": "http"}, True),
    ],
)
def test_where_a_mail_that_nobody_has_verified_counts(environment: dict[str, str], counts: bool) -> None:
    keys = json.dumps(PROVIDER.jwks())
    bearers = bearers_for(load({"JARVICE_DOWNSTREAM_BEARER_KEYS": keys, **environment}))
    token = PROVIDER.token("kirby", email_verified=False)
    if counts:
        assert bearers.of(token)
    else:
        with pytest.raises(NotAllowed):
            bearers.of(token)


def test_all_that_the_site_demands_is_asked_for() -> None:
    bearers = bearers_for(
        load(
            {
                "JARVICE_DOWNSTREAM_BEARER_KEYS": json.dumps(PROVIDER.jwks()),
                "JARVICE_DOWNSTREAM_BEARER_ALGORITHMS": "RS256",
                "JARVICE_DOWNSTREAM_BEARER_ISSUER": PROVIDER.issuer,
                "JARVICE_DOWNSTREAM_BEARER_AUDIENCE": "a, account",
                "JARVICE_DOWNSTREAM_BEARER_LEEWAY": "5",
            }
        )
    )
    assert bearers.of(PROVIDER.token("kirby"))
    assert bearers.of(PROVIDER.token("kirby", lifetime=-2))
    for token in (
        CURVE.sign(claims()),
        PROVIDER.token("kirby", iss="another"),
        PROVIDER.token("kirby", aud="another"),
        PROVIDER.token("kirby", lifetime=-7),
    ):
        with pytest.raises(BearerRefused):
            bearers.of(token)


def test_what_a_message_repeats_of_a_token_is_short_and_on_one_line() -> None:
    for token in (
        STRANGER.sign(claims(), kid="x\n" * 5_000),
        raw({"alg": "y\n" * 5_000}, claims()),
        PROVIDER.token("kirby", iss="z\n" * 5_000),
        PROVIDER.token("kirby", aud=["a\n"] * 5_000),
    ):
        told = refused(token, demanding={"issuer": "a", "audience": ("b",)})
        assert len(told) < 300
        assert "\n" not in told


# Garbage of every kind.

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_CLAIMS = st.dictionaries(
    st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "email", "email_verified", "x"]),
    _VALUES,
)
_HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku", "jwk", "cty", "zip", "enc"]), _VALUES
)
_STRICT = verified(issuer="a", audience=("b",))


@given(
    st.text()
    | st.text(alphabet='eyJ.=_-aA0{}" ', max_size=60)
    | st.binary().map(lambda data: urlsafe_b64encode(data).decode())
)
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(CallerError):
        _STRICT.of(text)


@given(_HEADERS, st.sampled_from(["RS256", "ES256", "EdDSA", "HS256"]), _CLAIMS, st.binary(max_size=80))
def test_any_unsigned_token_is_refused(
    header: dict[str, Any], algorithm: str, body: dict[str, Any], signature: bytes
) -> None:
    for head in (header, {**header, "alg": algorithm}, {"alg": algorithm, "kid": CURVE.id}):
        with pytest.raises(CallerError):
            _STRICT.of(raw(head, body, signature))


@given(_CLAIMS)
def test_any_claims_that_the_provider_has_signed_are_believed_or_refused(body: dict[str, Any]) -> None:
    token = _signed(raw({}, body).split(".")[1])
    for bearers in (_STRICT, verified(now=NOW)):
        try:
            bearer = bearers.of(token)
        except CallerError:
            continue
        assert bearer.claims["exp"] > NOW - 60


@given(_VALUES)
def test_a_signed_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(CallerError):
        _STRICT.of(_signed(urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()))


@given(st.data())
def test_a_token_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    token = CURVE.sign(claims())
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.="))
    changed = token[:place] + other + token[place + 1 :]
    if changed != token:
        with pytest.raises(CallerError):
            verified().of(changed)
