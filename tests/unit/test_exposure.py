"""Who may reach a service that verifies no tokens, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bearers import Unverified, bearers_for
from pipeline.settings import exposure_faults, load, read, warn_exposed
from tests.harness.keys import private_key_text

SSH = {"JARVICE_SLURM_CLUSTER_ADDR": "login.example.com", "JARVICE_SLURM_SSH_PKEY": private_key_text()}
HTTP = {"JARVICE_SLURM_INTERFACE": "http", "JARVICE_SLURMRESTD_ADDR": "http://mg1"}
URL = {"JARVICE_DOWNSTREAM_BEARER_KEYS_URL": "https://login.example.com/certs"}
FOR_US = {"JARVICE_DOWNSTREAM_BEARER_AUDIENCE": "jarvice-downstream"}
KEYS = {"JARVICE_DOWNSTREAM_BEARER_KEYS": "{}"}
ANYBODY = {"JARVICE_DOWNSTREAM_BEARER_UNVERIFIED": "true"}
LOCKED = {"JARVICE_SCHED_SERVER_KEY": "a:b"}


def listening(address: str) -> dict[str, str]:
    return {"WAITRESS_BIND_ADDRESS": address}


def faults(*environments: dict[str, str]) -> list[str]:
    environment = {name: value for one in environments for name, value in one.items()}
    return exposure_faults(read(environment))


def warnings(caplog: pytest.LogCaptureFixture, *environments: dict[str, str]) -> list[str]:
    caplog.clear()
    warn_exposed(load({name: value for one in environments for name, value in one.items()}))
    return [record.message for record in caplog.records]


@pytest.mark.parametrize("interface", [SSH, HTTP])
@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "10.1.2.3", "128.0.0.1", "example.com", "::ffff:10.0.0.1"]
)
def test_without_verification_the_network_is_kept_out(interface: dict[str, str], address: str) -> None:
    [fault] = faults(interface, listening(address))
    assert fault.startswith(f"WAITRESS_BIND_ADDRESS: {address!r} is not a loopback address")
    for variable in ("KEYS_URL", "KEYS_FILE", "UNVERIFIED=true"):
        assert f"JARVICE_DOWNSTREAM_BEARER_{variable}" in fault
    assert faults(interface, LOCKED, listening(address)) == [fault], "a login that all share is nobody's name"
    for way_out in (URL, KEYS, ANYBODY):
        assert not faults(interface, listening(address), way_out)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_on_loopback_nothing_is_needed(address: str) -> None:
    for interface in (SSH, HTTP):
        assert not faults(interface, listening(address))


def test_an_address_in_a_file_that_means_all_is_not_loopback(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("bind_address: ''\n")
    [fault] = faults(SSH, {"JARVICE_DOWNSTREAM_CONFIG": str(tmp_path / "site.yaml")})
    assert "is not a loopback address" in fault


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({**URL, **KEYS}, ["KEYS_URL", "KEYS"]),
        ({**URL, "JARVICE_DOWNSTREAM_BEARER_KEYS_FILE": "keys.json"}, ["KEYS_URL", "KEYS"]),
        ({**URL, **ANYBODY}, ["UNVERIFIED"]),
        ({**KEYS, **ANYBODY}, ["UNVERIFIED"]),
        ({"JARVICE_DOWNSTREAM_BEARER_ISSUER": "x"}, ["ISSUER", "KEYS_URL", "KEYS_FILE"]),
        ({"JARVICE_DOWNSTREAM_BEARER_AUDIENCE": "x"}, ["AUDIENCE", "KEYS_URL", "KEYS_FILE"]),
        ({**URL, "JARVICE_DOWNSTREAM_BEARER_CA_FILE": "/none"}, ["CA_FILE: /none is not a file"]),
    ],
)
def test_settings_that_contradict_each_other(environment: dict[str, str], named: list[str]) -> None:
    [fault] = faults(SSH, environment)
    assert all(f"JARVICE_DOWNSTREAM_BEARER_{name}" in fault for name in named)


def test_a_file_of_authorities_without_any_is_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("")
    [fault] = faults(SSH, URL, {"JARVICE_DOWNSTREAM_BEARER_CA_FILE": str(file)})
    assert fault == f"JARVICE_DOWNSTREAM_BEARER_CA_FILE: {file} holds no certificate (PEM) that can be read"


def test_a_setting_that_cannot_be_read_is_told_alone() -> None:
    reading = read({**SSH, **listening("0.0.0.0"), "JARVICE_DOWNSTREAM_BEARER_KEYS_URL": "login.example.com"})
    assert len(reading.faults) == 1
    assert not exposure_faults(reading)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://login.example.com/realms/a/protocol/openid-connect/certs", True),
        ("https://login.example.com:8443/certs?kind=sig", True),
        ("https://[2001:db8::1]:8443/certs", True),
        ("https://login.example.com", True),
        ("http://127.0.0.1:8080/certs", True),
        ("http://localhost:8080/certs", True),
        ("http://[::1]:8080/certs", True),
        ("http://login.example.com/certs", False),
        ("http://10.0.0.1/certs", False),
        ("http://127.0.0.1.example.com/certs", False),
        ("http://localhost@login.example.com/certs", False),
        ("https://user:password@login.example.com/certs", False),
        ("https://login.example.com/certs#keys", False),
        ("https://login.example.com/a b", False),
        ("https://login.example.com/\n", False),
        ("https://:443/certs", False),
        ("https:///certs", False),
        ("ftp://login.example.com/certs", False),
        ("file:///etc/keys.json", False),
        ("/etc/keys.json", False),
    ],
)
def test_where_keys_may_be_fetched(url: str, taken: bool) -> None:
    reading = read({"JARVICE_DOWNSTREAM_BEARER_KEYS_URL": url})
    assert (reading.settings.bearer_keys_url == url) is taken
    assert bool(reading.faults) is not taken


@pytest.mark.parametrize(
    "text", ["none", "HS256", "RS256,HS256", "RS256,none", "rs256", "RSA-OAEP", "ES256K", ","]
)
def test_algorithms_that_cannot_even_be_set(text: str) -> None:
    [fault] = read({"JARVICE_DOWNSTREAM_BEARER_ALGORITHMS": text}).faults
    assert "is not a list of RS256, " in fault


def test_algorithms_of_the_sites_own() -> None:
    assert load({"JARVICE_DOWNSTREAM_BEARER_ALGORITHMS": "ES256, RS256"}).bearer_algorithms == (
        "ES256",
        "RS256",
    )


def test_without_keys_tokens_are_only_read() -> None:
    assert isinstance(bearers_for(load(SSH)), Unverified)


def test_what_those_can_do_who_reach_the_service_is_said(caplog: pytest.LogCaptureFixture) -> None:
    wide = listening("0.0.0.0")
    assert warnings(caplog, SSH, wide, URL, FOR_US, LOCKED) == []
    [told] = warnings(caplog, SSH, wide, URL, FOR_US)
    assert "0.0.0.0 without JARVICE_SCHED_SERVER_KEY: whoever reaches it can read and end the jobs" in told
    for interface, can in ((SSH, "can run jobs as any mapped user"), (HTTP, "can get the scripts of jobs")):
        [told] = warnings(caplog, interface, wide, ANYBODY, LOCKED)
        assert "JARVICE_DOWNSTREAM_BEARER_UNVERIFIED is set and the service listens on 0.0.0.0" in told
        assert can in told
        assert len(warnings(caplog, interface, wide, ANYBODY)) == 2


def test_on_loopback_it_is_said_that_tokens_are_not_verified(caplog: pytest.LogCaptureFixture) -> None:
    [told] = warnings(caplog, SSH)
    assert "bearer tokens are not verified: who reaches the service from this machine can run jobs" in told
    assert "JARVICE_DOWNSTREAM_BEARER_KEYS_URL" in told
    assert warnings(caplog, HTTP) == [], "Slurm verifies them"
    assert warnings(caplog, SSH, URL, FOR_US) == []
    assert warnings(caplog, {"JARVICE_BAREMETAL_CONNECTOR": "local"}) == []
    assert len(warnings(caplog, SSH, ANYBODY)) == 1


def test_tokens_that_are_meant_for_others_are_taken_loudly(caplog: pytest.LogCaptureFixture) -> None:
    for interface in (SSH, HTTP):
        [told] = warnings(caplog, interface, URL)
        assert told.startswith("JARVICE_DOWNSTREAM_BEARER_AUDIENCE is not set: ")
