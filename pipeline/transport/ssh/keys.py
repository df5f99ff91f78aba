"""Private keys."""

from __future__ import annotations

import io

import paramiko

from pipeline.errors import Unavailable

_KINDS: tuple[type[paramiko.PKey], ...] = (
    paramiko.Ed25519Key,
    paramiko.ECDSAKey,
    paramiko.RSAKey,
)


def private_key(text: str, *, of: str) -> paramiko.PKey:
    """An ed25519, ECDSA or RSA key from its PEM or OpenSSH text.

    Raises:
        Unavailable: it is none of these, or has a passphrase; ``of`` says whose key it is.
    """
    for kind in _KINDS:
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException:
            raise Unavailable(
                f"the private key of {of} has a passphrase; a key without one is needed"
            ) from None
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise Unavailable(f"the private key of {of} is not a readable ed25519, ECDSA or RSA key")
