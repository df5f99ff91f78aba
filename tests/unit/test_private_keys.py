"""Private keys as sites have them."""

from __future__ import annotations

import pytest

from pipeline.errors import Unavailable
from pipeline.transport.ssh.keys import private_key
from tests.harness.keys import KINDS, private_key_text

NAMES = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "ssh-rsa"}
FILES = [(kind, form) for kind in KINDS for form in ("OpenSSH", "PEM") if (kind, form) != ("ed25519", "PEM")]


@pytest.mark.parametrize(("kind", "form"), FILES)
def test_a_key_of_each_kind_and_form_is_read(kind: str, form: str) -> None:
    assert private_key(private_key_text(kind, form), of="kirby").get_name() == NAMES[kind]


@pytest.mark.parametrize(("kind", "form"), FILES)
def test_a_key_with_a_passphrase_is_refused_with_the_reason(kind: str, form: str) -> None:
    with pytest.raises(Unavailable, match="the private key of kirby has a passphrase"):
        private_key(private_key_text(kind, form, "secret"), of="kirby")


GARBAGE = [
    "",
    "hunter2",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
    private_key_text()[:200],
    private_key_text().replace("A", "B", 20),
    private_key_text("rsa", "PEM").replace("\n", " "),
    private_key_text("ecdsa", "PEM")[:-60] + "\n-----END EC PRIVATE KEY-----\n",
]


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Unavailable, match="the private key of kirby is not a readable") as fault:
        private_key(text, of="kirby")
    assert "hunter2" not in fault.value.message
