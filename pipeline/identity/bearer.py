"""Tokens that say who somebody is: JSON Web Tokens. Whether they are true is for ``pipeline.bearers``."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from pipeline.errors import InvalidRequest, NotAllowed
from pipeline.identity.owner import Owner

TOKEN_VARIABLE = "SLURM_JWT"  # noqa: S105  # nosec B105 # a variable's name
"""Slurm's own commands take a user's token from here."""

MOST_TOKEN_BYTES = 64 * 1024
"""Far more than a token with hundreds of roles; what is longer is not even looked at."""

_MOST_SHOWN = 80
"""Characters of what a library says of a token."""

_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")


@dataclass(frozen=True)
class Bearer:
    """A token and its claims, for who is to believe them: only what has been verified should become one."""

    token: str = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)


def unverified(text: str, called: str = "bearer") -> Bearer:
    """What a token says, whoever made it; ``Bearer`` may stand in front.

    ``called`` is where the token came from, for messages.

    Raises:
        InvalidRequest: it is not a JWT.
    """
    token = token_of(text, called)
    return Bearer(token, _claims(token, called))


def mail_of(bearer: Bearer, claim: str = "email") -> str:
    """The claim that holds the user's mail. Raises NotAllowed when there is none."""
    mail = bearer.claims.get(claim)
    if not isinstance(mail, str) or not mail:
        raise NotAllowed(f"bearer: the token has no {claim} claim, so nobody can be mapped to it")
    return mail


def owner_by_token(bearer: Bearer, user_claims: Sequence[str], *, called: str = "bearer") -> Owner:
    """The user that a token names itself: slurmrestd verifies it too, and Slurm knows the same user.

    ``called`` is where the token came from, for messages.

    Raises:
        NotAllowed: the token has none of these claims, or what it has is no user name.
    """
    user = next((bearer.claims[claim] for claim in user_claims if bearer.claims.get(claim)), None)
    if user is None:
        raise NotAllowed(
            f"{called}: the token has no claim {' or '.join(user_claims)}, so nobody knows which user of the "
            "cluster it stands for; an administrator can set JARVICE_SLURMRESTD_USER_CLAIM"
        )
    if not isinstance(user, str) or not _USER_NAME.fullmatch(user):
        raise NotAllowed(f"{called}: what the token names is not the name of a user of the cluster")
    return Owner(user, token=bearer.token)


def expired_since(token: str) -> int | None:
    """When the token expired, in seconds since the epoch; None: it did not, or does not say."""
    expires = _claims(token).get("exp")
    if isinstance(expires, int | float) and 0 <= expires < time.time():
        return int(expires)
    return None


def token_of(bearer: str, called: str = "bearer") -> str:
    """The token alone, as it goes into a header. Raises InvalidRequest for one that cannot."""
    if len(bearer) > MOST_TOKEN_BYTES:
        raise InvalidRequest(f"{called}: is not a JSON Web Token (it has more than {MOST_TOKEN_BYTES} bytes)")
    token = bearer.removeprefix("Bearer ").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidRequest(f"{called}: is not a JSON Web Token (it holds characters that no token has)")
    return token


def _claims(token: str, called: str = "bearer") -> dict[str, Any]:
    try:
        jwt.get_unverified_header(token)  # older versions of PyJWT do not look at all of it in decoding
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError) as fault:
        reason = " ".join(str(fault).split())[:_MOST_SHOWN]  # it may repeat what stands in the token
        raise InvalidRequest(f"{called}: is not a JSON Web Token ({reason})") from None
