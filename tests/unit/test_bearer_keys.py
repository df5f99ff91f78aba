"""The keys of tokens, as providers publish them and as people have them."""

from __future__ import annotations

import contextlib
import json
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from pipeline.bearers.keys import Keys, read_keys
from pipeline.settings.bearers import ALGORITHMS
from tests.harness.keys import private_key_text
from tests.harness.oidc import SigningKey

EDWARDS = SigningKey("EdDSA")
CURVE = SigningKey("ES256")
RSA = SigningKey("RS256")
KEYS = (EDWARDS, CURVE, RSA)


def jwks(*keys: object) -> str:
    return json.dumps({"keys": list(keys)})


def pem(key: SigningKey) -> str:
    return key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def der(key: SigningKey) -> bytes:
    return key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def b64(data: bytes | str) -> str:
    return b64encode(data.encode() if isinstance(data, str) else data).decode()


def read(text: str, algorithms: tuple[str, ...] = ALGORITHMS) -> Keys:
    return read_keys(text, algorithms)


def why(text: str, algorithms: tuple[str, ...] = ALGORITHMS) -> str:
    """What is said of a text without keys."""
    with pytest.raises(ValueError) as fault:  # noqa: PT011 - the tests look at what it says
        read_keys(text, algorithms)
    return str(fault.value)


FORMS: list[Callable[[SigningKey], str]] = [
    lambda key: jwks(key.jwk()),
    lambda key: b64(jwks(key.jwk())),
    pem,
    lambda key: f"  # the realm's key\n{pem(key)}\n",
    lambda key: b64(pem(key)),
    lambda key: b64(der(key)),  # as Keycloak shows a realm's key
    lambda key: b64(der(key))[:40] + "\n" + b64(der(key))[40:] + "\n",
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
@pytest.mark.parametrize("form", FORMS)
def test_a_key_in_every_form(key: SigningKey, form: Callable[[SigningKey], str]) -> None:
    [found] = read(form(key)).usable
    assert found.public == key.private.public_key()
    assert key.algorithm in found.algorithms


@pytest.mark.parametrize(
    ("algorithm", "fits"),
    [
        ("ES256", {"ES256"}),
        ("ES384", {"ES384"}),
        ("ES512", {"ES512"}),
        ("EdDSA", {"EdDSA"}),
        ("RS256", {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ],
)
def test_the_kind_of_a_key_says_which_algorithms_fit(algorithm: str, fits: set[str]) -> None:
    key = SigningKey(algorithm)
    [found] = read(pem(key)).usable
    assert found.algorithms == fits
    [found] = read(jwks(key.jwk())).usable
    assert found.algorithms == {algorithm}, "a JWK may say more narrowly than its kind does"


def test_several_keys_one_after_another() -> None:
    assert len(read("".join(map(pem, KEYS))).usable) == 3
    assert len(read(jwks(*(key.jwk() for key in KEYS))).usable) == 3


def test_keys_are_found_by_name_and_algorithm() -> None:
    keys = read(jwks(*(key.jwk() for key in KEYS)))
    [found] = keys.fitting(CURVE.id, "ES256")
    assert found.public == CURVE.private.public_key()
    assert not list(keys.fitting(CURVE.id, "RS256"))
    assert not list(keys.fitting("another", "ES256"))
    assert len(list(keys.fitting(None, "ES256"))) == 1, "a token need not name its key"
    assert (keys.know(CURVE.id), keys.know("another"), keys.know(None)) == (True, False, False)


def test_a_key_without_a_name_may_be_any_tokens() -> None:
    for text in (pem(CURVE), jwks(CURVE.jwk(kid=None))):
        assert len(list(read(text).fitting("whatever", "ES256"))) == 1


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    (RSA.jwk(use="enc"), "is not for signatures but for 'enc'"),
    (RSA.jwk(use=["sig"]), "is not for signatures"),
    (RSA.jwk(alg="RSA-OAEP"), "is for no algorithm of JARVICE_DOWNSTREAM_BEARER_ALGORITHMS"),
    (RSA.jwk(alg="HS256"), "is for no algorithm"),
    (RSA.jwk(alg="none"), "is for no algorithm"),
    (RSA.jwk(alg="ES256"), "is for no algorithm"),
    (RSA.jwk(alg=["RS256"]), "is for no algorithm"),
    (RSA.jwk(key_ops=["encrypt", "wrapKey"]), "is not for verifying"),
    (RSA.jwk(key_ops=[]), "is not for verifying"),
    (RSA.jwk(key_ops="verify"), "is not for verifying"),
    (RSA.jwk(kid=5), "has a kid that is not text"),
    (RSA.jwk(n=None), "cannot be read"),
    (RSA.jwk(n="!"), "cannot be read"),
    (RSA.jwk(n=65537), "has parts that are not text"),
    (RSA.jwk(e="AA"), "cannot be read"),
    (CURVE.jwk(crv="P-384"), "cannot be read"),
    (CURVE.jwk(crv="P-1"), "cannot be read"),
    (CURVE.jwk(x="AAAA"), "cannot be read"),
    (EDWARDS.jwk(x="AAAA"), "cannot be read"),
    (CURVE.jwk(kty="oct", k="c2VjcmV0"), "is of the kind 'oct'"),
    (CURVE.jwk(kty=None), "is of the kind None"),
    (CURVE.jwk(kty="EC "), "is of the kind 'EC '"),
]  # fmt: skip


@pytest.mark.parametrize(("jwk", "said"), UNUSABLE)
def test_what_of_a_jwks_cannot_be_used_is_left_out_and_told(jwk: dict[str, Any], said: str) -> None:
    assert said in why(jwks(jwk))
    keys = read(jwks(jwk, EDWARDS.jwk()))
    assert [key.name for key in keys.usable] == [EDWARDS.id]
    assert said in str(keys)


@pytest.mark.parametrize("entry", [None, 5, "x", [], {}, pem(RSA)])
def test_what_is_no_jwk_at_all_is_left_out(entry: object) -> None:
    assert [key.name for key in read(jwks(entry, RSA.jwk())).usable] == [RSA.id]


def test_short_rsa_keys_are_left_out() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    assert "has 1024 bits, which is less than 2048" in why(jwks(RSAAlgorithm.to_jwk(weak, as_dict=True)))
    spki = weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert "has 1024 bits" in why(spki)


def test_kinds_that_sign_no_tokens_are_left_out() -> None:
    others: list[PublicKeyTypes] = [
        x25519.X25519PrivateKey.generate().public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
        dsa.generate_private_key(2048).public_key(),
    ]
    for other in others:
        spki = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        assert "is of a kind that signs no tokens" in why(spki)
    bitcoin = ec.generate_private_key(ec.SECP256K1()).public_key()
    assert "is for no algorithm" in why(jwks(ECAlgorithm.to_jwk(bitcoin, as_dict=True)))


def test_a_private_key_in_a_file_is_told_and_not_shown() -> None:
    for kind in ("PEM", "OpenSSH"):
        text = private_key_text("rsa", kind)
        assert "key 1 is a private key; give public halves alone" in why(text)
        assert "key 2 is a private key" in why(pem(RSA) + text), "it lies there all the same"
        assert text.splitlines()[3] not in why(text)


def test_a_private_key_that_a_provider_shows_is_not_believed_and_others_are() -> None:
    shown = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
    keys = read(jwks(shown | {"key_ops": ["sign"]}, RSA.jwk()))
    assert [key.name for key in keys.usable] == [RSA.id]
    assert "left out: key 1 is a private key, and is not believed" in str(keys)
    assert shown["d"] not in str(keys)


def test_keys_for_other_algorithms_than_the_sites_are_left_out() -> None:
    keys = read(jwks(*(key.jwk() for key in KEYS)), ("ES256",))
    assert [key.name for key in keys.usable] == [CURVE.id]
    assert "is for no algorithm" in why(pem(RSA), ("ES256",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key that can be used: there is none"),
        ("<html>Sign in</html>", "is neither a JWKS nor public keys as PEM nor the base64 of them"),
        ("{", "is not JSON"),
        ("{" * 100_000, "is not JSON"),
        ('{"a":' * 100_000, "is not JSON"),
        ("{}", "it has no list of keys"),
        ('{"keys": {}}', "it has no list of keys"),
        ('{"keys": []}', "holds no key that can be used: there is none"),
        ("-----BEGIN PUBLIC KEY-----", "there is none"),
        (" \n", "holds no key that can be used: there is none"),
        ("-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----", "is not a public key"),
        (b64("hunter2"), "is not a public key"),
    ],
)
def test_a_text_without_keys_is_told_and_not_shown(text: str, said: str) -> None:
    assert said in why(text)
    assert "hunter2" not in why(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    member=st.sampled_from(["kty", "n", "e", "crv", "x", "y", "kid", "use", "alg", "key_ops", "d"]),
    value=_JSON,
    key=st.sampled_from(KEYS),
)
def test_a_jwk_with_anything_in_it_never_keeps_the_others_from_being_used(
    member: str, value: object, key: SigningKey
) -> None:
    keys = read(jwks({**key.jwk(), member: value}, EDWARDS.jwk(kid="sound")))
    assert "sound" in [found.name for found in keys.usable]


@given(st.text(max_size=200) | _JSON.map(json.dumps) | st.binary(max_size=60).map(b64))
def test_any_text_is_keys_or_a_reason(text: str) -> None:
    with contextlib.suppress(ValueError):  # nothing else may come
        assert read(text).usable


@pytest.mark.parametrize(
    "part", ["-----BEGIN ", "-----BEGIN A-----", "-----BEGIN A-----\n", "-----END A-----"]
)
def test_no_text_takes_long_to_look_through(part: str) -> None:
    begun = time.thread_time()
    assert why(part * 10_000)
    assert time.thread_time() - begun < 2
