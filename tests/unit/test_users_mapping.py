"""The users id mapping: whose job it is, and what is wrong with the file, without its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from pipeline.errors import DownstreamError, InvalidRequest, NotAllowed, SettingsFault
from pipeline.identity import MOST_TOKEN_BYTES, MappingFile, UsersMapping, mail_of, unverified
from tests.harness.forms import bearer
from tests.harness.keys import b64, private_key_text

KEY = private_key_text()
KIRBY = {"user": "Kirby", "jarvice_user": "kirby", "mail": "kirby@example.com", "mapped_user": "kirby",
         "ssh_private_key_b64": b64(KEY)}  # fmt: skip
MARIO = {**KIRBY, "mail": "mario@example.com", "mapped_user": "mario"}


def mapping_of(folder: Path, document: Any) -> UsersMapping:
    file = folder / "users.yaml"
    file.touch(mode=0o600)
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return MappingFile(file).current()


def entries(*of: dict[str, Any]) -> dict[str, Any]:
    return {"users_id_mapping": list(of)}


def test_a_user_is_found_by_mail(tmp_path: Path) -> None:
    mapping = mapping_of(tmp_path, entries(KIRBY, MARIO))
    for user in ("kirby", "mario"):
        owner = mapping.owner_of(f"{user}@example.com")
        assert (owner.user, owner.private_key) == (user, KEY)
        assert mapping.key_holder(user) == owner
    assert len(mapping) == 2


def test_a_key_may_stand_there_as_it_is(tmp_path: Path) -> None:
    mapping = mapping_of(tmp_path, entries({**KIRBY, "ssh_private_key_b64": KEY}))
    assert mapping.key_holder("kirby").private_key == KEY


def test_two_mails_may_be_one_user(tmp_path: Path) -> None:
    mapping = mapping_of(tmp_path, entries(KIRBY, {**KIRBY, "mail": "k@example.com"}))
    assert mapping.owner_of("k@example.com").user == "kirby"
    assert [owner.user for owner in mapping.owners()] == ["kirby"]


def test_who_is_not_mapped_is_told_whom_to_ask(tmp_path: Path) -> None:
    mapping = mapping_of(tmp_path, entries(KIRBY))
    with pytest.raises(NotAllowed, match=r"'bowser@example\.com'.*administrator"):
        mapping.owner_of("bowser@example.com")
    with pytest.raises(NotAllowed, match=r"'bowser'.*administrator"):
        mapping.key_holder("bowser")


def test_a_bearer_may_say_that_it_is_one() -> None:
    assert mail_of(unverified("Bearer " + bearer("kirby@example.com"))) == "kirby@example.com"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "Bearer ",
        "....",
        "é",
        "\ud800",
        "\0",
        jwt.encode({"email": "x"}, "k" * 32)[:-60],
        "a" * 10_000,
        "a" * (MOST_TOKEN_BYTES + 1),
    ],
)
def test_what_is_no_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^bearer: is not a JSON Web Token") as fault:
        unverified(token)
    assert len(token) < 6 or token not in fault.value.message


@pytest.mark.parametrize(
    "claims", [{}, {"email": ""}, {"email": None}, {"email": ["kirby@example.com"]}, {"email": 5}]
)
def test_a_token_without_a_mail_is_nobody(claims: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed, match="no email claim"):
        mail_of(unverified(jwt.encode(claims, "k" * 32)))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("users_id_mapping: [", "is not YAML at line"),
        (
            "a: b\nhunter2: 'unterminated\n\n",
            "is not YAML at line 4, while scanning a quoted scalar that begins at line 2",
        ),
        ("hunter2: *hunter2", "is not YAML at line 1"),
        ("", "is not fields with values"),
        ([], "is not fields with values"),
        ({}, "users_id_mapping is missing"),
        ({"users_id_mapping": None}, "users_id_mapping: is not a list, each entry beginning with '-'"),
        (entries({"mail": "a"}), "entry 1: mapped_user is missing"),
        (entries({**KIRBY, "mapped_user": "hunter2 x"}), "entry 1: mapped_user: is not a user name"),
        (entries({**KIRBY, "mapped_user": "kirby\n"}), "entry 1: mapped_user: is not a user name"),
        (entries({**KIRBY, "mail": ""}), "entry 1: mail: is empty"),
        (entries({**KIRBY, "ssh_private_key_b64": 5}), "entry 1: ssh_private_key_b64: is not text"),
        (entries({**KIRBY, "password": "hunter2"}), "entry 1: 'password' is not a field"),
        (
            entries({**KIRBY, "mapped_usr": "hunter2"}),
            "'mapped_usr' is not a field; did you mean mapped_user?",
        ),
        (entries(KIRBY, KIRBY), "entry 2 (kirby@example.com): this mail stands there twice"),
        (entries({"mail": "a"}, KIRBY, KIRBY), "entry 3 (kirby@example.com): this mail stands there twice"),
        (
            entries({**KIRBY, "ssh_private_key_b64": "hunter2"}),
            "entry 1 (kirby@example.com): ssh_private_key_b64",
        ),
        (entries({**KIRBY, "ssh_private_key_b64": b64("hunter2")}), "is not the base64 of a private key"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_place_and_without_keys(
    tmp_path: Path, document: Any, said: str
) -> None:
    with pytest.raises(SettingsFault) as fault:
        mapping_of(tmp_path, document)
    told = "\n".join(fault.value.faults)
    assert str(tmp_path / "users.yaml") in told
    assert said in told
    assert "hunter2" not in told


def test_every_fault_of_the_file_is_told(tmp_path: Path) -> None:
    broken = {**KIRBY, "ssh_private_key_b64": "x"}
    with pytest.raises(SettingsFault) as fault:
        mapping_of(tmp_path, entries(broken, {**MARIO, "ssh_private_key_b64": "y"}, MARIO, MARIO))
    assert len(fault.value.faults) == 3


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsFault, match="No such file"):
        MappingFile(tmp_path / "none.yaml")


def test_an_owner_shows_no_key(tmp_path: Path) -> None:
    owner = mapping_of(tmp_path, entries(KIRBY)).key_holder("kirby")
    assert "PRIVATE" not in repr(owner)
    assert issubclass(NotAllowed, DownstreamError)
