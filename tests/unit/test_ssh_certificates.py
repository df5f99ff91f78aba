"""Certificates that the service signs: what is in them, and that a server lets users in by them."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.errors import SettingsFault, Unavailable
from pipeline.settings import Settings
from pipeline.transport import Limits
from pipeline.transport.ssh import Authority, Host, Login, SshTransport, Tunnel
from pipeline.transport.ssh.keys import private_key
from tests.harness.keys import KINDS, private_key_text
from tests.harness.ssh_server import SshServer
from tests.unit.conftest import LOGIN, Connect

LIMITS = Limits(seconds=20)
CA = private_key_text("ecdsa")
"""Nobody's own key here."""


def shown(key: paramiko.PKey) -> SSHCertificate:
    """The certificate that a client shows with this key."""
    assert key.public_blob
    line = f"{key.public_blob.key_type} {b64encode(key.public_blob.key_blob).decode()}"
    certificate = load_ssh_public_identity(line.encode())
    assert isinstance(certificate, SSHCertificate)
    return certificate


def whoami(transport: SshTransport, user: str) -> str:
    return transport.run(Login(user), "echo $USER", LIMITS).text().strip()


@pytest.fixture
def trusting(server: SshServer) -> SshServer:
    server.authority = private_key(CA, of="the CA")
    return server


# ---- what is in them ----


def test_a_certificate_is_for_one_user_for_some_minutes_and_allows_nothing_but_commands() -> None:
    certificate = shown(Authority(CA, 240, clock=lambda: 1_000_000.5).key_for("kirby"))
    certificate.verify_cert_signature()
    assert certificate.type is SSHCertificateType.USER
    assert certificate.valid_principals == [b"kirby"]
    assert (certificate.valid_after, certificate.valid_before) == (1_000_000 - 60, 1_000_000 + 240)
    assert (certificate.extensions, certificate.critical_options) == ({}, {})
    assert certificate.key_id.startswith(b"jarvice-downstream@")
    assert certificate.key_id.endswith(b" for kirby")


def test_only_who_forwards_may() -> None:
    certificate = shown(Authority(CA).key_for("jarvice", forwards=True))
    assert certificate.extensions == {b"permit-port-forwarding": b""}


def test_no_two_certificates_have_a_key_or_a_serial_in_common() -> None:
    authority = Authority(CA)
    keys = [authority.key_for("kirby") for _ in range(3)]
    assert len({key.get_base64() for key in keys}) == 3
    assert len({shown(key).serial for key in keys}) == 3


@pytest.mark.parametrize("form", ["OpenSSH", "PEM"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_the_key_that_signs_may_be_of_any_kind(kind: str, form: str) -> None:
    shown(Authority(private_key_text(kind, form)).key_for("kirby")).verify_cert_signature()


def test_an_rsa_key_signs_with_sha512() -> None:
    key = Authority(private_key_text("rsa")).key_for("kirby")
    assert key.public_blob
    assert b"rsa-sha2-512" in key.public_blob.key_blob


def test_root_gets_none() -> None:
    with pytest.raises(ValueError, match="no certificate is made for root"):
        Authority(CA).key_for("root")


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (lambda: private_key_text("ed25519", passphrase="hunter2"), "has a passphrase"),
        (lambda: private_key_text("rsa", "PEM", "hunter2"), "has a passphrase"),
        (lambda: pem(rsa.generate_private_key(65537, 1024)), "is an RSA key of 1024 bits"),
        (lambda: pem(ec.generate_private_key(ec.SECP256K1())), "Unsupported"),
        (lambda: "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n", "is not a readable private key"),
        (lambda: "-----BEGIN PRIVATE KEY-----\nhunter2\n", "is not a readable private key"),
    ],
)
def test_a_key_that_cannot_sign_stops_the_start_without_being_shown(
    text: Callable[[], str], said: str
) -> None:
    with pytest.raises(SettingsFault, match=f"JARVICE_SLURM_SSH_CA_KEY: the key .*{said}") as fault:
        ClusterHost(Settings(slurm_cluster_addr="127.0.0.1", slurm_ssh_ca_key=text()))
    assert "hunter2" not in fault.value.message


def test_the_entry_user_needs_a_key_of_its_own_to_be_root() -> None:
    settings = Settings(slurm_cluster_addr="127.0.0.1", slurm_ssh_user="root", slurm_ssh_ca_key=CA)
    with pytest.raises(SettingsFault, match="JARVICE_SLURM_SSH_USER: no certificate is made for root"):
        ClusterHost(settings)


# ---- logging in by them ----


def test_users_without_a_key_are_let_in_with_a_new_certificate_for_each_connection(
    connect: Connect, trusting: SshServer
) -> None:
    transport = connect(authority=Authority(CA))
    assert [whoami(transport, user) for user in ("kirby", "mario", "kirby")] == ["kirby", "mario", "kirby"]
    trusting.drop_all()
    assert whoami(transport, "kirby") == "kirby"
    principals = [certificate.valid_principals for certificate in trusting.certificates]
    assert principals == [[b"kirby"], [b"mario"], [b"kirby"]]
    assert len({certificate.serial for certificate in trusting.certificates}) == 3


def test_who_has_a_key_is_let_in_with_it(connect: Connect, trusting: SshServer) -> None:
    assert connect(authority=Authority(CA)).run(LOGIN, "echo in", LIMITS).stdout == b"in\n"
    assert trusting.certificates == []


@pytest.mark.parametrize(
    "authority",
    [
        Authority(private_key_text("rsa")),
        Authority(CA, clock=lambda: time.time() - 3600),
        Authority(CA, clock=lambda: time.time() + 3600),
    ],
    ids=["another key", "expired", "not yet"],
)
def test_a_refused_certificate_tells_what_to_look_at(
    authority: Authority, connect: Connect, trusting: SshServer
) -> None:
    with pytest.raises(Unavailable, match=r"kirby@.*: the login was refused") as fault:
        whoami(connect(authority=authority), "kirby")
    for words in (authority.fingerprint, "TrustedUserCAKeys", "clocks"):
        assert words in fault.value.message
    assert trusting.certificates == []


def test_the_fingerprint_is_as_ssh_keygen_shows_it() -> None:
    for kind in KINDS:
        assert (
            Authority(private_key_text(kind)).fingerprint
            == private_key(private_key_text(kind), of="x").fingerprint
        )


def test_without_a_key_and_a_certificate_nobody_is_let_in(connect: Connect, trusting: SshServer) -> None:
    with pytest.raises(Unavailable, match="there is no private key for kirby"):
        whoami(connect(), "kirby")
    with pytest.raises(Unavailable, match="no certificate is made for root"):
        whoami(connect(authority=Authority(CA)), "root")
    assert trusting.logins == []


@pytest.mark.parametrize("forwards", [True, False])
def test_ports_are_reached_only_with_a_certificate_that_says_so(
    forwards: bool, trusting: SshServer, host: Host
) -> None:
    tunnel = Tunnel(host, Login("jarvice", forwards=forwards))
    try:
        if forwards:
            tunnel.open("127.0.0.1", trusting.port, 10).close()
            assert trusting.forwarded == [("127.0.0.1", trusting.port)]
        else:
            with pytest.raises(Unavailable, match="Administratively prohibited"):
                tunnel.open("127.0.0.1", trusting.port, 10)
    finally:
        tunnel.close()


@pytest.fixture
def host(trusting: SshServer, tmp_path: Path) -> Host:
    return Host("127.0.0.1", trusting.port, known_hosts=tmp_path / "known_hosts", authority=Authority(CA))
