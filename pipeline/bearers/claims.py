"""What the claims of a token must say, once its signature holds."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.bearers.keys import shown
from pipeline.errors import BearerRefused, NotAllowed


@dataclass(frozen=True)
class Demands:
    """What is asked of a token. Times are seconds."""

    issuer: str = ""
    """Empty: anybody whose key it is."""
    audience: Collection[str] = ()
    """Empty: for anybody."""
    leeway: float = 60.0
    verified_mail: bool = True
    """Whether ``email_verified`` has to be true where it is there."""

    def check(self, claims: Mapping[str, Any], now: float) -> None:
        """Whether a token holds at this time, in seconds since the epoch.

        Raises:
            BearerRefused: says what does not.
            NotAllowed: nobody has verified the user's mail.
        """
        self._check_times(claims, now)
        for claim, demanded, variable in (
            ("iss", self.issuer, "JARVICE_DOWNSTREAM_BEARER_ISSUER"),
            ("aud", self.audience, "JARVICE_DOWNSTREAM_BEARER_AUDIENCE"),
        ):
            if demanded and claims.get(claim) is None:
                raise BearerRefused(
                    f"bearer: the token has no {claim}; have the identity provider put it in ({variable})"
                )
        if self.issuer and claims.get("iss") != self.issuer:
            raise BearerRefused(
                f"bearer: the token was made by {shown(claims.get('iss'))}, and only those that "
                f"{self.issuer!r} makes are taken (JARVICE_DOWNSTREAM_BEARER_ISSUER)"
            )
        if self.audience and not self._is_for_us(claims.get("aud")):
            raise BearerRefused(
                f"bearer: the token is meant for {shown(claims.get('aud'))}, and not for "
                f"{' or '.join(map(repr, self.audience))} (JARVICE_DOWNSTREAM_BEARER_AUDIENCE)"
            )
        if self.verified_mail and claims.get("email_verified", True) not in (True, "true"):
            raise NotAllowed(
                "bearer: nobody has verified the user's mail (email_verified), so it may be another's; "
                "verify it at the identity provider, or see JARVICE_DOWNSTREAM_BEARER_UNVERIFIED_MAIL"
            )

    def _check_times(self, claims: Mapping[str, Any], now: float) -> None:
        expires = _seconds(claims, "exp")
        if expires is None:
            raise BearerRefused("bearer: the token does not say when it expires (exp)")
        if expires <= now - self.leeway:
            raise BearerRefused(f"bearer: the token has expired{_at(expires)}")
        for claim in ("nbf", "iat"):
            since = _seconds(claims, claim)
            if since is not None and since > now + self.leeway:
                raise BearerRefused(
                    f"bearer: the token's {claim} is still to come{_at(since)}; compare the clocks of the "
                    "identity provider and of this machine"
                )

    def _is_for_us(self, audience: object) -> bool:
        meant = audience if isinstance(audience, list) else [audience]
        return any(one in self.audience for one in meant if isinstance(one, str))


def _seconds(claims: Mapping[str, Any], claim: str) -> float | None:
    """A time in seconds since the epoch; None: the claim is not there."""
    found = claims.get(claim)
    if found is None:
        return None
    # A whole number may be too large for any float, and is compared as it is.
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if isinstance(found, float) and math.isfinite(found):
        return found
    raise BearerRefused(f"bearer: the token's {claim} is not a time")


def _at(seconds: float) -> str:
    """A time for a person, where it is one that a calendar has."""
    try:
        return time.strftime(" at %Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return ""
