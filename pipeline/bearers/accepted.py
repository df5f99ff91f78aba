"""Which bearer tokens are accepted: all that can be read, or those that an identity provider has signed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt

from pipeline.bearers.claims import Demands
from pipeline.bearers.keys import Key, Keys, read_keys, shown
from pipeline.bearers.sources import GivenKeys, KeyFile, KeysAtUrl, Source
from pipeline.errors import BearerRefused, SettingsFault
from pipeline.identity import Bearer, unverified
from pipeline.settings import Settings
from pipeline.transport.http import HttpTransport

_CONNECT_TIMEOUT = 3.0

_SIGNATURE_ONLY: Any = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}
"""Claims are for ``Demands``."""


class Bearers(Protocol):
    """Makes bearers of the text in forms. Safe for any number of threads."""

    def of(self, text: str) -> Bearer:
        """A bearer to believe.

        Raises:
            InvalidRequest: it is no token.
            BearerRefused, NotAllowed: it is not one to believe; says why.
            Unavailable: whether it is cannot be known now.
        """
        ...

    def check(self) -> None:
        """Raises Unavailable when no bearer can be believed now."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Unverified:
    """Every token is believed: for where nobody can come who must not."""

    def of(self, text: str) -> Bearer:
        """What the token says."""
        return unverified(text)

    def check(self) -> None:
        """Nothing is needed."""

    def close(self) -> None:
        """Nothing to close."""


class Verified:
    """Tokens with a signature that holds, and claims that are as demanded."""

    def __init__(
        self,
        keys: Source,
        algorithms: Collection[str],
        demands: Demands,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._algorithms = algorithms
        self._demands = demands
        self._clock = clock

    def of(self, text: str) -> Bearer:
        """The token, once everything about it holds."""
        bearer = unverified(text)
        self._check_signature(bearer.token)
        self._demands.check(bearer.claims, self._clock())
        return bearer

    def check(self) -> None:
        """Whether there are keys."""
        self._keys.current()

    def close(self) -> None:
        """Close what brings the keys."""
        self._keys.close()

    def _check_signature(self, token: str) -> None:
        """Only ``alg`` and ``kid`` of the header are heeded: a token does not say where its key is."""
        header = jwt.get_unverified_header(token)
        algorithm: str = header.get("alg", "none")
        name: str | None = header.get("kid")
        if algorithm not in self._algorithms:
            raise BearerRefused(
                f"bearer: the token is signed with {shown(algorithm)}, which is not one of "
                f"{', '.join(self._algorithms)} (JARVICE_DOWNSTREAM_BEARER_ALGORITHMS)"
            )
        if "crit" in header:
            raise BearerRefused("bearer: the token's header demands what is not known here (crit)")
        keys = self._keys.current()
        if _is_signed(token, keys, name, algorithm):
            return
        if not keys.know(name):
            keys = self._keys.renewed(keys)
            if _is_signed(token, keys, name, algorithm):
                return
        if name is None or keys.know(name):
            raise BearerRefused("bearer: the token's signature is not one of the identity provider's")
        raise BearerRefused(
            f"bearer: the token is signed with a key that the identity provider has not (kid {shown(name)})"
        )


def bearers_for(settings: Settings) -> Bearers:
    """What the settings demand of tokens.

    Raises:
        SettingsFault: the keys that they name cannot be used.
    """
    if not settings.verifies_bearers:
        return Unverified()
    by_mail = settings.slurm_interface == "cli" and settings.bearer_mail_claim == "email"
    demands = Demands(
        settings.bearer_issuer,
        settings.bearer_audience,
        settings.bearer_leeway,
        verified_mail=by_mail and not settings.bearer_unverified_mail,
    )
    return Verified(_source(settings), settings.bearer_algorithms, demands)


def _source(settings: Settings) -> Source:
    read: Callable[[str], Keys] = partial(read_keys, algorithms=settings.bearer_algorithms)
    if settings.bearer_keys_url:
        return _at_url(settings, read)
    given = settings.bearer_keys
    variable = "JARVICE_DOWNSTREAM_BEARER_KEYS"
    try:
        if isinstance(given, Path):
            variable = f"{variable}_FILE: {given}"
            return KeyFile(given, read)
        return GivenKeys(read(given))
    except (OSError, ValueError) as fault:
        raise SettingsFault([f"{variable}: {getattr(fault, 'strerror', None) or fault}"]) from None


def _at_url(settings: Settings, read: Callable[[str], Keys]) -> KeysAtUrl:
    parts = urlsplit(settings.bearer_keys_url)
    server = f"{parts.scheme}://{parts.netloc}"
    transport = HttpTransport(
        server, connections=1, connect_timeout=_CONNECT_TIMEOUT, ca_file=settings.bearer_ca_file
    )
    path = settings.bearer_keys_url.removeprefix(server) or "/"
    return KeysAtUrl(transport, path, read, max_age=settings.bearer_keys_max_age)


def _is_signed(token: str, keys: Keys, name: str | None, algorithm: str) -> bool:
    return any(_holds(token, key, algorithm) for key in keys.fitting(name, algorithm))


def _holds(token: str, key: Key, algorithm: str) -> bool:
    try:
        jwt.decode(token, key.public, algorithms=[algorithm], options=_SIGNATURE_ONLY)
    except (jwt.PyJWTError, ValueError):
        return False
    return True
