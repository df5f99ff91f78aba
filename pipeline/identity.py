"""Who a job belongs to: from the upstream's bearer token to a user of the cluster."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import jwt
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from pipeline.errors import InvalidRequest, NotAllowed, SettingsFault
from pipeline.settings.kinds import pem_text
from pipeline.settings.yaml_file import read_yaml
from pipeline.shipped import schema

TOKEN_VARIABLE = "SLURM_JWT"  # noqa: S105 - a variable's name
"""Slurm's own commands take a user's token from here."""

_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")


@dataclass(frozen=True)
class Owner:
    """A user of the cluster and what this user is let in with; the local connector needs neither."""

    user: str
    private_key: str = field(default="", repr=False)
    """PEM or OpenSSH form, for SSH."""
    token: str = field(default="", repr=False)
    """A JSON Web Token, for slurmrestd."""


class UsersMapping:
    """The site's mapping of upstream users, found by mail, to cluster users."""

    def __init__(self, by_mail: dict[str, Owner]) -> None:
        self._by_mail = by_mail
        self._by_user = {owner.user: owner for owner in by_mail.values()}

    def __len__(self) -> int:
        return len(self._by_mail)

    def owners(self) -> Iterable[Owner]:
        """Every mapped user of the cluster."""
        return self._by_user.values()

    def users(self) -> Iterable[str]:
        """Every mapped user's name on the cluster."""
        return self._by_user.keys()

    def owner_of(self, bearer: str) -> Owner:
        """The cluster user that a bearer token stands for.

        Raises:
            InvalidRequest: the bearer is not a JWT.
            NotAllowed: the token has no email claim, or nobody is mapped to that mail.
        """
        mail = mail_of(bearer)
        try:
            return self._by_mail[mail]
        except KeyError:
            raise NotAllowed(
                f"no user of the cluster is mapped to {mail!r}; "
                "an administrator can add one to the users id mapping"
            ) from None

    def key_holder(self, user: str, *, without: str = "the job's files cannot be reached") -> Owner:
        """The owner of a job that is this cluster user's; ``without`` says what needs the key.

        Raises:
            NotAllowed: the user is not in the mapping.
        """
        try:
            return self._by_user[user]
        except KeyError:
            raise NotAllowed(
                f"the cluster's user {user!r} is not in the users id mapping, so {without}; "
                "an administrator can add the user"
            ) from None


def mail_of(bearer: str) -> str:
    """The email claim of a bearer token. The signature is not verified here.

    Raises:
        InvalidRequest: the bearer is not a JWT.
        NotAllowed: the token has no email claim.
    """
    mail = _claims(token_of(bearer)).get("email")
    if not isinstance(mail, str) or not mail:
        raise NotAllowed("bearer: the token has no email claim, so nobody can be mapped to it")
    return mail


def owner_by_token(bearer: str, user_claims: Sequence[str], *, called: str = "bearer") -> Owner:
    """The user that a token names itself: slurmrestd verifies it, and Slurm knows the same user.

    ``called`` is where the token came from, for messages.

    Raises:
        InvalidRequest: the bearer is not a JWT.
        NotAllowed: the token has none of these claims, or what it has is no user name.
    """
    token = token_of(bearer, called)
    claims = _claims(token, called)
    user = next((claims[claim] for claim in user_claims if claims.get(claim)), None)
    if user is None:
        raise NotAllowed(
            f"{called}: the token has no claim {' or '.join(user_claims)}, so nobody knows which user of the "
            "cluster it stands for; an administrator can set JARVICE_SLURMRESTD_USER_CLAIM"
        )
    if not isinstance(user, str) or not _USER_NAME.fullmatch(user):
        raise NotAllowed(f"{called}: what the token names is not the name of a user of the cluster")
    return Owner(user, token=token)


def expired_since(token: str) -> int | None:
    """When the token expired, in seconds since the epoch; None: it did not, or does not say."""
    expires = _claims(token).get("exp")
    if isinstance(expires, int | float) and 0 <= expires < time.time():
        return int(expires)
    return None


def token_of(bearer: str, called: str = "bearer") -> str:
    """The token alone, as it goes into a header. Raises InvalidRequest for one that cannot."""
    token = bearer.removeprefix("Bearer ").strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidRequest(f"{called}: is not a JSON Web Token (it holds characters that no token has)")
    return token


def _claims(token: str, called: str = "bearer") -> dict[str, Any]:
    try:
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError) as fault:
        raise InvalidRequest(f"{called}: is not a JSON Web Token ({fault})") from None


def read_mapping(path: Path) -> UsersMapping:
    """The mapping in a YAML file.

    Raises:
        SettingsFault: with one sentence for each fault of the file.
    """
    try:
        document = read_yaml(path)
    except ValueError as fault:
        raise SettingsFault([f"JARVICE_USERS_ID_MAPPING: {path.absolute()}: {fault}"]) from None
    faults = [
        f"users id mapping {path}: {_place(error)}{_reason(error)}"
        for error in Draft202012Validator(schema("users_id_mapping")).iter_errors(document)
    ]
    if faults:
        raise SettingsFault(faults)
    by_mail: dict[str, Owner] = {}
    for number, entry in enumerate(document["users_id_mapping"], start=1):
        place = f"users id mapping {path}: entry {number} ({entry['mail']})"
        if entry["mail"] in by_mail:
            faults.append(f"{place}: this mail stands there twice")
        try:
            key = pem_text(entry["ssh_private_key_b64"])
        except ValueError:
            faults.append(f"{place}: ssh_private_key_b64 is not the base64 of a private key")
        else:
            by_mail[entry["mail"]] = Owner(entry["mapped_user"], key)
    if faults:
        raise SettingsFault(faults)
    return UsersMapping(by_mail)


def _place(error: ValidationError) -> str:
    """``entry 2: mail: ``, counted as people do."""
    path = list(error.absolute_path)
    parts = path[1:] or path  # each entry is in the same list, whose name says nothing
    return "".join(f"entry {part + 1}: " if isinstance(part, int) else f"{part}: " for part in parts)


def _reason(error: ValidationError) -> str:
    """A schema error without the value, which may be a key."""
    kind = str(error.validator)
    expected, found, within = cast(
        "tuple[Any, Any, Any]", (error.validator_value, error.instance, error.schema)
    )
    if kind == "required":
        return ", ".join(name for name in expected if name not in found) + " is missing"
    if kind == "additionalProperties":
        known = within["properties"]
        unknown = [name for name in found if name not in known]
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{', '.join(map(repr, unknown))} is not a field{hint}"
    if kind == "type":
        words = {"object": "fields with values", "array": "a list, each entry beginning with '-'"}
        return f"is not {words.get(str(expected), 'text')}"
    return {"pattern": "is not a user name", "minLength": "is empty"}.get(kind, f"violates {kind}")
