"""Private keys, made once for all tests."""

from __future__ import annotations

from base64 import b64encode
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

KINDS = ("ed25519", "ecdsa", "rsa")
FORMS = {"OpenSSH": PrivateFormat.OpenSSH, "PEM": PrivateFormat.TraditionalOpenSSL}


@cache
def _key(kind: str) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def private_key_text(kind: str = "ed25519", form: str = "OpenSSH", passphrase: str = "") -> str:
    """A private key as it stands in a file."""
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase:
        encryption = BestAvailableEncryption(passphrase.encode())
    return _key(kind).private_bytes(Encoding.PEM, FORMS[form], encryption).decode("ascii")


def b64(text: str) -> str:
    """Its base64, as in a users id mapping."""
    return b64encode(text.encode()).decode("ascii")
