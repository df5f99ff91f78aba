"""Settings of how bearer tokens are verified."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.settings import kinds
from pipeline.settings.addresses import is_loopback
from pipeline.settings.declaration import setting
from pipeline.settings.kinds import Kind

_BEARERS = "Bearer tokens"

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Of signatures that only the holder of a private key can make. With HS256 and its kin whoever can verify a
token can make one, and `none` is no signature at all: neither can be set."""


def _algorithms(raw: Any) -> tuple[str, ...]:
    words: tuple[str, ...] = kinds.WORDS.read(raw)
    if not words or not set(words) <= set(ALGORITHMS):
        raise ValueError
    return words


_ALGORITHMS = Kind(
    f"a list of {', '.join(ALGORITHMS)}; others, as HS256 and none, are never taken",
    _algorithms,
    {"type": ["array", "string"], "items": {"type": "string", "enum": list(ALGORITHMS)}},
)

_URL = re.compile(
    r"https?://[A-Za-z0-9._-]+(?::\d{1,5})?(/[!-~]*)?|https?://\[[0-9A-Fa-f:.]+\](?::\d{1,5})?(/[!-~]*)?"
)


def _keys_url(raw: Any) -> str:
    value = str(kinds.TEXT.read(raw))
    if not value:
        return ""
    if not _URL.fullmatch(value) or "#" in value:
        raise ValueError
    parts = urlsplit(value)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError  # whoever is on the way could put keys of their own in place of these
    return value


_KEYS_URL = Kind(
    "an https:// address with neither a login nor a fragment; http:// on loopback only",
    _keys_url,
    {"type": "string"},
)

_KEYS = Kind("text", kinds.TEXT.read, {"type": "string"}, from_file=lambda path: path)


@dataclass(frozen=True)
class BearerSettings:
    """What makes a job's bearer token one to believe."""

    bearer_keys_url: str = setting(
        "JARVICE_DOWNSTREAM_BEARER_KEYS_URL",
        _KEYS_URL,
        "",
        "Where the identity provider publishes the keys of its tokens, as a JWKS; its jwks_uri.",
        group=_BEARERS,
    )
    bearer_ca_file: Path | None = setting(
        "JARVICE_DOWNSTREAM_BEARER_CA_FILE",
        kinds.OPTIONAL_PATH,
        "",
        "Certificates (PEM) that vouch for the identity provider; the well-known authorities otherwise.",
        group=_BEARERS,
    )
    bearer_keys_max_age: float = setting(
        "JARVICE_DOWNSTREAM_BEARER_KEYS_MAX_AGE",
        kinds.seconds(10, 86400),
        600,
        "Keys that were fetched longer ago are fetched again; a token of an unknown key has them fetched at "
        "once.",
        group=_BEARERS,
    )
    bearer_keys: str | Path = setting(
        "JARVICE_DOWNSTREAM_BEARER_KEYS",
        _KEYS,
        "",
        "The keys themselves in place of a URL: a JWKS, public keys as PEM, or the base64 of either. A file "
        "of them, named with _FILE, is read again when it changes.",
        group=_BEARERS,
    )
    bearer_algorithms: tuple[str, ...] = setting(
        "JARVICE_DOWNSTREAM_BEARER_ALGORITHMS",
        _ALGORITHMS,
        list(ALGORITHMS),
        "How tokens may be signed; which of these fit a key is the key's to say.",
        group=_BEARERS,
    )
    bearer_issuer: str = setting(
        "JARVICE_DOWNSTREAM_BEARER_ISSUER",
        kinds.TEXT,
        "",
        "Who must have made a token: its iss claim, letter by letter; empty asks nobody.",
        group=_BEARERS,
    )
    bearer_audience: tuple[str, ...] = setting(
        "JARVICE_DOWNSTREAM_BEARER_AUDIENCE",
        kinds.WORDS,
        [],
        "Whom a token must be meant for: its aud claim has one of these; empty asks nobody.",
        group=_BEARERS,
    )
    bearer_leeway: float = setting(
        "JARVICE_DOWNSTREAM_BEARER_LEEWAY",
        kinds.seconds(0, 600),
        60,
        "How far the clocks of the identity provider and of this machine may be apart.",
        group=_BEARERS,
    )
    bearer_mail_claim: str = setting(
        "JARVICE_DOWNSTREAM_BEARER_MAIL_CLAIM",
        kinds.matching(r"[!-~]+", "the name of a claim"),
        "email",
        "The claim that holds the mail which the users id mapping knows.",
        group=_BEARERS,
    )
    bearer_unverified_mail: bool = setting(
        "JARVICE_DOWNSTREAM_BEARER_UNVERIFIED_MAIL",
        kinds.BOOLEAN,
        False,
        "Whether a mail counts although the token says that nobody has verified it (email_verified).",
        group=_BEARERS,
    )
    bearer_unverified: bool = setting(
        "JARVICE_DOWNSTREAM_BEARER_UNVERIFIED",
        kinds.BOOLEAN,
        False,
        "Whether the service may listen on other addresses than loopback although it verifies no tokens: "
        "whoever reaches it can then submit jobs as anybody.",
        group=_BEARERS,
    )

    @property
    def verifies_bearers(self) -> bool:
        """Whether keys are named."""
        return bool(self.bearer_keys_url or self.bearer_keys)
