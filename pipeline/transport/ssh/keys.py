"""Private keys and host keys."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko
from paramiko.hostkeys import InvalidHostKey

from pipeline.errors import Unavailable

_log = logging.getLogger(__name__)

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


class RememberedHosts(paramiko.MissingHostKeyPolicy):
    """Host keys as OpenSSH's ``accept-new``: an unknown one is taken once and remembered."""

    def __init__(self, remembered: Path, site: Path | None) -> None:
        self._remembered = remembered
        self._site = site
        self._lock = threading.Lock()

    def load_into(self, client: paramiko.SSHClient) -> None:
        """Give the client every key that is known.

        Raises:
            Unavailable: a file of host keys cannot be read; names it.
        """
        with self._lock:
            if self._remembered.exists():
                _read_host_keys(self._remembered, client.load_host_keys)
            if self._site:
                _read_host_keys(self._site, client.load_system_host_keys)
        client.set_missing_host_key_policy(self)

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Remember the key of a host that was never seen."""
        with self._lock:
            known = paramiko.HostKeys()
            if self._remembered.exists():
                known.load(str(self._remembered))
            seen = known.lookup(hostname)
            if seen is None:
                self._remembered.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                line = f"{hostname} {key.get_name()} {key.get_base64()}\n"
                with self._remembered.open("a", encoding="ascii") as file:
                    file.write(line)
                _log.warning(
                    "host key of %s seen for the first time, remembered in %s: %s",
                    hostname, self._remembered, key.fingerprint,
                )  # fmt: skip
            elif not known.check(hostname, key):
                raise paramiko.BadHostKeyException(hostname, key, next(iter(seen.values())))


def _read_host_keys(file: Path, load: Callable[[str], None]) -> None:
    try:
        load(str(file))
    except (OSError, UnicodeDecodeError, paramiko.SSHException, InvalidHostKey) as fault:
        raise Unavailable(f"host keys in {file} cannot be read: {fault}") from None
