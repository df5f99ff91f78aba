"""Certificates that let users in for minutes: sshd trusts the key that signs; no user's is stored."""

from __future__ import annotations

import io
import logging
import secrets
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_pem_private_key,
    load_ssh_private_key,
)

from pipeline.identity import NEVER

_log = logging.getLogger(__name__)

_BACKDATED = 60
"""Seconds that a certificate was good before it was made: the far side's clock may be behind."""

_FEWEST_BITS = 2048
"""Of an RSA key: what is shorter can be broken."""

_Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """The key that signs users' certificates. Safe for any number of threads."""

    def __init__(self, text: str, lifetime: float = 300, clock: Callable[[], float] = time.time) -> None:
        """``text`` is the private key, PEM or OpenSSH form; a certificate is good for ``lifetime`` seconds.

        Raises:
            ValueError: the key cannot sign; says why.
        """
        self._key = _loaded(text)
        self._lifetime = lifetime
        self._clock = clock
        self._signer = f"jarvice-downstream@{socket.gethostname()}"
        self.fingerprint = _fingerprint(self._key)
        """Of the public half, as ``ssh-keygen -l`` shows it."""

    def key_for(self, user: str, *, forwards: bool = False) -> paramiko.PKey:
        """A new key with a certificate that lets only this user in, and only run commands.

        ``forwards``: to open connections to other ports too. The key is in memory alone.

        Raises:
            ValueError: nobody vouches for this user.
        """
        if user == NEVER:
            raise ValueError(f"no certificate is made for {NEVER}")
        key, now = ed25519.Ed25519PrivateKey.generate(), int(self._clock())
        serial = secrets.randbits(64)
        builder = (
            SSHCertificateBuilder()
            .public_key(key.public_key())
            .serial(serial)
            .type(SSHCertificateType.USER)
            .key_id(f"{self._signer} for {user}".encode())
            .valid_principals([user.encode()])
            .valid_after(now - _BACKDATED)
            .valid_before(now + int(self._lifetime))
        )
        if forwards:
            builder = builder.add_extension(b"permit-port-forwarding", b"")
        text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
        signed = paramiko.Ed25519Key.from_private_key(io.StringIO(text))
        signed.load_certificate(builder.sign(self._key).public_bytes().decode("ascii"))
        _log.debug("certificate %d for %s is good for %d s", serial, user, self._lifetime)
        return signed


def _loaded(text: str) -> _Key:
    load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        key = load(text.encode(), password=None)
    except TypeError:
        raise ValueError("has a passphrase; a key without one is needed") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a readable private key") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _FEWEST_BITS:
        raise ValueError(f"is an RSA key of {key.key_size} bits; {_FEWEST_BITS} or more are needed")
    if not isinstance(key, _Key):
        raise ValueError("is not an ed25519, ECDSA or RSA key")
    return key


def _fingerprint(key: _Key) -> str:
    """Raises ValueError for a curve that SSH does not know."""
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    digest = sha256(b64decode(line.split()[1])).digest()
    return "SHA256:" + b64encode(digest).decode("ascii").rstrip("=")
