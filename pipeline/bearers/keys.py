"""Public keys as identity providers publish them (JWKS), and as people have them in files (PEM)."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_LEAST_RSA_BITS = 2048
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

_PUBLIC_PARTS = ("kty", "n", "e", "crv", "x", "y")
"""What of a JWK is made a key of."""
_PRIVATE_PART = "d"
"""What only the private half of an RSA, EC or OKP key has. Source: RFC 7518, RFC 8037."""

_FORGED = "whoever can read a private one can make tokens"

_PEM = re.compile(r"-----BEGIN [^-]++-----(?:(?!-----).)*+-----END [^-]++-----", re.DOTALL)

_SHOWN = 60
"""Characters of what somebody else has written that a message repeats."""


@dataclass(frozen=True)
class Key:
    """A key that verifies tokens. Its own kind says with which algorithms, never the token."""

    public: PublicKey
    algorithms: frozenset[str]
    name: str | None = None
    """Its ``kid``; a key without one is tried for every token."""


@dataclass(frozen=True)
class Keys:
    """The keys of one provider."""

    usable: tuple[Key, ...]
    left_out: tuple[str, ...] = ()
    """Why others cannot be used, a sentence each."""

    def know(self, name: str | None) -> bool:
        """Whether one of the keys has this name."""
        return name is not None and any(key.name == name for key in self.usable)

    def fitting(self, name: str | None, algorithm: str) -> Iterator[Key]:
        """The keys that may have made a signature. A token need not name its key."""
        for key in self.usable:
            if algorithm in key.algorithms and (name is None or key.name in (None, name)):
                yield key

    def __str__(self) -> str:
        names = ", ".join(f"kid {shown(key.name)}" if key.name else "without kid" for key in self.usable)
        left_out = f"; left out: {', '.join(self.left_out)}" if self.left_out else ""
        return f"{len(self.usable)} ({names}){left_out}"


def read_keys(text: str, algorithms: Collection[str]) -> Keys:
    """The keys in a text that can be used with one of ``algorithms``.

    The text is a JWKS, public keys as PEM, one after another, or the base64 of either; or that of a bare
    key, as Keycloak shows it.

    Raises:
        ValueError: there is none, or a private one as PEM; says why, and shows no key.
    """
    usable: list[Key] = []
    left_out: list[str] = []
    for number, entry in enumerate(_entries(text.strip()), start=1):
        if isinstance(entry, str) and "PRIVATE KEY-----" in entry:
            raise ValueError(f"key {number} is a private key; give public halves alone: {_FORGED}")
        try:
            if isinstance(entry, dict):
                usable.append(_of_jwk(entry, algorithms))
            else:
                usable.append(_checked(_loaded(entry), algorithms))
        except ValueError as reason:
            kid = entry.get("kid") if isinstance(entry, dict) else None
            left_out.append(f"key {number}{f' (kid {shown(kid)})' if kid else ''} {reason}")
    if not usable:
        raise ValueError("holds no key that can be used: " + ("; ".join(left_out) or "there is none"))
    return Keys(tuple(usable), tuple(left_out))


def shown(value: object) -> str:
    """A value from outside as a message may repeat it: on one line, and not much of it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _entries(text: str) -> Sequence[dict[str, Any] | str | bytes]:
    """What claims to be a key: the members of a JWKS, PEM texts, or the bytes of a bare key."""
    if text.startswith("{"):
        try:
            keys = json.loads(text).get("keys")
        except (ValueError, RecursionError):
            raise ValueError("is not JSON") from None
        if not isinstance(keys, list):
            raise ValueError("is not a JWKS: it has no list of keys")
        return [key if isinstance(key, dict) else {} for key in keys]
    if "-----BEGIN " in text:
        return _PEM.findall(text)
    try:
        decoded = b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ValueError("is neither a JWKS nor public keys as PEM nor the base64 of them") from None
    inner = decoded.decode("latin-1").strip()
    if inner.startswith(("{", "-----BEGIN ")):
        return _entries(inner)
    return [decoded] if decoded else []


def _of_jwk(jwk: dict[str, Any], algorithms: Collection[str]) -> Key:
    """Raises ValueError with what is against it, after the key's number."""
    if _PRIVATE_PART in jwk:
        raise ValueError(f"is a private key, and is not believed: {_FORGED}")
    kid, use, operations, algorithm = (jwk.get(member) for member in ("kid", "use", "key_ops", "alg"))
    if kid is not None and not isinstance(kid, str):
        raise ValueError("has a kid that is not text")
    if use not in (None, "sig"):
        raise ValueError(f"is not for signatures but for {shown(use)}")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        raise ValueError("is not for verifying signatures (key_ops)")
    parts = {part: jwk[part] for part in _PUBLIC_PARTS if part in jwk}
    if parts.get("kty") not in ("RSA", "EC", "OKP"):
        raise ValueError(f"is of the kind {shown(parts.get('kty'))}, which is not RSA, EC or OKP")
    if not all(isinstance(value, str) for value in parts.values()):
        raise ValueError("has parts that are not text")
    try:
        public = jwt.PyJWK(parts).key
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("cannot be read") from None
    return _checked(public, [one for one in algorithms if algorithm in (None, one)], kid)


def _loaded(data: str | bytes) -> object:
    """A key in PEM, or the bytes of one. Raises ValueError as above."""
    try:
        return load_pem_public_key(data.encode()) if isinstance(data, str) else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key") from None


def _checked(public: object, algorithms: Collection[str], name: str | None = None) -> Key:
    """A key of ours, with those of the algorithms that it is made for. Raises ValueError as above."""
    possible: Collection[str]
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < _LEAST_RSA_BITS:
            raise ValueError(f"has {public.key_size} bits, which is less than {_LEAST_RSA_BITS}")
        possible = _RSA
    elif isinstance(public, ec.EllipticCurvePublicKey):
        possible = {_CURVES.get(public.curve.name, "")}
    elif isinstance(public, ed25519.Ed25519PublicKey):
        possible = {"EdDSA"}
    else:
        raise ValueError("is of a kind that signs no tokens")
    usable = frozenset(possible).intersection(algorithms)
    if not usable:
        raise ValueError("is for no algorithm of JARVICE_DOWNSTREAM_BEARER_ALGORITHMS")
    return Key(public, usable, name)
