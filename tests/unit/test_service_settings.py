"""What a service needs for each way to a cluster, and what it warns of."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.start import connect
from pipeline.connectors import connector_for
from pipeline.errors import SettingsFault
from pipeline.settings import load, read, service_faults, warn_unencrypted
from tests.harness.keys import private_key_text

SSH = {"JARVICE_SLURM_CLUSTER_ADDR": "login.example.com", "JARVICE_SLURM_SSH_PKEY": private_key_text()}
SIGNED = {"JARVICE_SLURM_CLUSTER_ADDR": "login.example.com", "JARVICE_SLURM_SSH_CA_KEY": private_key_text()}
HTTP = {"JARVICE_SLURM_INTERFACE": "http", "JARVICE_SLURMRESTD_ADDR": "http://mg1"}
DIRECT = {"JARVICE_SLURMRESTD_ROUTE": "direct"}
MANAGED = {"JARVICE_SLURM_SERVICE_TOKEN": "a.b.c", "JARVICE_SLURM_USER_HOME": "/home/%u"}


def missing(environment: dict[str, str]) -> set[str]:
    """The variables that stop the start because they are not there."""
    faults = service_faults(read(environment))
    assert all(" is missing: " in fault for fault in faults)
    return {fault.split(" ", 1)[0] for fault in faults}


@pytest.mark.parametrize(
    ("environment", "needed"),
    [
        ({}, set(SSH)),
        ({"JARVICE_SLURM_INTERFACE": "http"}, {*SSH, "JARVICE_SLURMRESTD_ADDR"}),
        (HTTP, set(SSH)),
        ({**HTTP, **DIRECT}, set(SSH)),  # jobs are managed over SSH
        ({**HTTP, **MANAGED}, set(SSH)),  # slurmrestd is reached through it
        ({**HTTP, **DIRECT, **MANAGED}, set()),
        ({**HTTP, **DIRECT, "JARVICE_SLURM_SERVICE_TOKEN": "a.b.c"}, {"JARVICE_SLURM_USER_HOME"}),
        ({**MANAGED, **DIRECT}, set(SSH)),
        (SSH, set()),
        ({**SSH, **HTTP}, set()),
        (SIGNED, set()),
        ({**SIGNED, **HTTP}, set()),
    ],
)  # fmt: skip
def test_what_each_way_needs(environment: dict[str, str], needed: set[str]) -> None:
    assert missing(environment) == needed


def test_a_value_that_cannot_be_read_is_not_told_as_missing() -> None:
    reading = read({**HTTP, "JARVICE_SLURMRESTD_ADDR": "mg1", "JARVICE_SLURM_SSH_PKEY": "no key"})
    assert len(reading.faults) == 2
    assert [fault.split(" ", 1)[0] for fault in service_faults(reading)] == ["JARVICE_SLURM_CLUSTER_ADDR"]


def test_a_key_that_signs_and_cannot_be_read_is_told_alone() -> None:
    reading = read({**SIGNED, "JARVICE_SLURM_SSH_CA_KEY": "no key"})
    assert service_faults(reading) == []
    assert [fault.split(":", 1)[0] for fault in reading.faults] == ["JARVICE_SLURM_SSH_CA_KEY"]


@pytest.mark.parametrize(
    "environment",
    [
        {**HTTP, **DIRECT, **MANAGED, "JARVICE_SLURM_SERVICE_TOKEN": "no token at all"},
        {**SIGNED, "JARVICE_SLURM_SSH_CA_KEY": "no key", "JARVICE_USERS_ID_MAPPING": "none.yaml"},
        {**HTTP, "JARVICE_SLURMRESTD_ROUTE": "drect"},
    ],
)
def test_while_the_way_is_not_known_nothing_is_told_that_another_way_would_lack(
    environment: dict[str, str], tmp_path: Path
) -> None:
    reading = read({**environment, "JARVICE_DOWNSTREAM_STATE_DIR": str(tmp_path)})
    connector, faults = connect(reading, reading.settings)
    if connector:
        connector.close()
    assert faults == list(reading.faults)
    assert len(faults) == 1


def test_who_goes_straight_to_slurmrestd_is_told_that_no_ssh_is_needed() -> None:
    faults = service_faults(read({**HTTP, **DIRECT}), "try local")
    assert len(faults) == 2
    assert all(fault.endswith("With JARVICE_SLURM_SERVICE_TOKEN_FILE nothing needs SSH") for fault in faults)


def test_a_ca_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    environment = {**HTTP, **SSH, "JARVICE_SLURMRESTD_CA_FILE": str(tmp_path / "none")}
    [fault] = service_faults(read(environment))
    assert fault == f"JARVICE_SLURMRESTD_CA_FILE: {tmp_path}/none is not a file"
    (tmp_path / "none").write_text("no certificate\n")
    [fault] = service_faults(read(environment))
    assert fault == f"JARVICE_SLURMRESTD_CA_FILE: {tmp_path}/none holds no certificate (PEM) that can be read"


@pytest.mark.parametrize("managed", [{}, MANAGED])
def test_all_that_keeps_a_connector_from_being_made_is_told_at_once(managed: dict[str, str]) -> None:
    environment = {
        **HTTP, **SSH, **managed,
        "JARVICE_SLURM_SSH_PKEY": private_key_text(passphrase="hunter2"),
        "JARVICE_SLURMRESTD_API_VERSION": "v0.0.36",
    }  # fmt: skip
    with pytest.raises(SettingsFault) as fault:
        connector_for(load(environment))
    told = "\n".join(fault.value.faults)
    assert "JARVICE_SLURMRESTD_API_VERSION: v0.0.36" in told
    assert "JARVICE_SLURM_SSH_PKEY: the private key of jarvice has a passphrase" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("environment", [{**HTTP, **SSH}, {**HTTP, **DIRECT, **MANAGED}])
def test_a_users_mapping_is_not_needed_for_http(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    connector_for(load(environment)).close()
    with pytest.raises(SettingsFault, match=r"users_id_mapping_configuration\.yaml"):
        connector_for(load(SSH))


@pytest.mark.parametrize(
    ("environment", "warned"),
    [
        ({**HTTP, **DIRECT}, True),
        (HTTP, False),
        ({**HTTP, **DIRECT, "JARVICE_SLURMRESTD_ADDR": "https://mg1"}, False),
        ({**HTTP, **DIRECT, "JARVICE_SLURMRESTD_ADDR": "http://127.0.0.1"}, False),
        ({**HTTP, **DIRECT, "JARVICE_SLURMRESTD_ADDR": "http://localhost"}, False),
        ({**HTTP, **DIRECT, "JARVICE_SLURMRESTD_ADDR": "http://[::1]"}, False),
        ({**HTTP, **DIRECT, "JARVICE_SLURM_INTERFACE": "cli"}, False),
    ],
)
def test_tokens_that_go_unencrypted_are_warned_of(
    environment: dict[str, str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_unencrypted(load(environment))
    assert ("tokens go to http://mg1 unencrypted" in caplog.text) is warned
    assert bool(caplog.records) is warned
