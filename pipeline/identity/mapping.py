"""Which user of the cluster an upstream user is, as the site says it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Protocol, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from pipeline.errors import NotAllowed, SettingsFault
from pipeline.identity.owner import NEVER, Owner
from pipeline.settings.kinds import pem_text
from pipeline.shipped import schema

FILES_OUT_OF_REACH = "the job's files cannot be reached"

_IN_AN_ENTRY = 2
"""Steps of a path into one: the list, and its place there."""


class Users(Protocol):
    """Who is who, as of now."""

    def owner_of(self, mail: str) -> Owner:
        """The cluster user that this mail is mapped to. Raises NotAllowed."""
        ...

    def key_holder(self, user: str, *, without: str = FILES_OUT_OF_REACH) -> Owner:
        """The owner of a job that is this cluster user's. Raises NotAllowed, which says ``without``."""
        ...

    def users(self) -> Iterable[str]:
        """Every mapped user's name on the cluster."""
        ...


class UsersMapping:
    """The site's mapping of upstream users, found by mail, to cluster users."""

    def __init__(self, by_mail: dict[str, Owner]) -> None:
        self._by_mail = by_mail
        self._by_user = {owner.user: owner for owner in by_mail.values()}

    def __len__(self) -> int:
        return len(self._by_mail)

    def owners(self) -> Iterable[Owner]:
        """Every mapped user of the cluster, once for each key."""
        return dict.fromkeys(self._by_mail.values())

    def users(self) -> Iterable[str]:
        """Every mapped user's name on the cluster."""
        return self._by_user.keys()

    def owner_of(self, mail: str) -> Owner:
        """The cluster user that this mail is mapped to.

        Raises:
            NotAllowed: there is none.
        """
        try:
            return self._by_mail[mail]
        except KeyError:
            raise NotAllowed(
                f"no user of the cluster is mapped to {mail!r}; "
                "an administrator can add one to the users id mapping"
            ) from None

    def key_holder(self, user: str, *, without: str = FILES_OUT_OF_REACH) -> Owner:
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


def mapping_of(document: Any, called: str, *, keys_needed: bool = True) -> UsersMapping:
    """The mapping in a document; ``called`` is how faults name it.

    Raises:
        SettingsFault: with one sentence for each fault.
    """
    errors = list(Draft202012Validator(schema("users_id_mapping")).iter_errors(document))
    faults = [f"{called}: {_place(error)}{_reason(error)}" for error in errors]
    if any(len(error.absolute_path) < _IN_AN_ENTRY for error in errors):
        raise SettingsFault(faults)
    broken = {error.absolute_path[1] for error in errors}
    by_mail: dict[str, Owner] = {}
    for number, entry in enumerate(document["users_id_mapping"], start=1):
        if number - 1 in broken:
            continue
        place = f"{called}: entry {number} ({entry['mail']})"
        if entry["mail"] in by_mail:
            faults.append(f"{place}: this mail stands there twice")
        if entry["mapped_user"] == NEVER:
            faults.append(f"{place}: mapped_user: nobody's jobs run as {NEVER}")
        try:
            key = _key(entry, keys_needed)
        except ValueError as fault:
            faults.append(f"{place}: ssh_private_key_b64 {fault}")
        else:
            by_mail[entry["mail"]] = Owner(entry["mapped_user"], key)
    if faults:
        raise SettingsFault(faults)
    return UsersMapping(by_mail)


def _key(entry: dict[str, str], needed: bool) -> str:
    """The key of an entry as text, empty where it has none. Raises ValueError with what is wrong."""
    if "ssh_private_key_b64" not in entry:
        if needed:
            raise ValueError("is missing; where JARVICE_SLURM_SSH_CA_KEY_FILE is set nobody needs a key")
        return ""
    try:
        return pem_text(entry["ssh_private_key_b64"])
    except ValueError:
        raise ValueError("is not the base64 of a private key") from None


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
