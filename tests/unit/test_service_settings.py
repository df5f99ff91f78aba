"""What a service needs for each way to a cluster, and what it warns of."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.connectors import connector_for
from pipeline.errors import SettingsFault
from pipeline.settings import load, read, service_faults, warn_exposed, warn_unencrypted
from tests.harness.keys import private_key_text

SSH = {"JARVICE_SLURM_CLUSTER_ADDR": "login.example.com", "JARVICE_SLURM_SSH_PKEY": private_key_text()}
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
    ],
)  # fmt: skip
def test_what_each_way_needs(environment: dict[str, str], needed: set[str]) -> None:
    assert missing(environment) == needed


def test_a_value_that_cannot_be_read_is_not_told_as_missing() -> None:
    reading = read({**HTTP, "JARVICE_SLURMRESTD_ADDR": "mg1", "JARVICE_SLURM_SSH_PKEY": "no key"})
    assert len(reading.faults) == 2
    assert [fault.split(" ", 1)[0] for fault in service_faults(reading)] == ["JARVICE_SLURM_CLUSTER_ADDR"]


def test_a_ca_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    environment = {**HTTP, **SSH, "JARVICE_SLURMRESTD_CA_FILE": str(tmp_path / "none")}
    [fault] = service_faults(read(environment))
    assert fault == f"JARVICE_SLURMRESTD_CA_FILE: {tmp_path}/none is not a file"


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
    assert "the private key of jarvice" in told
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


@pytest.mark.parametrize(
    ("environment", "can"),
    [(SSH, "can run jobs as any mapped user"), (HTTP, "can read and end the jobs of all users")],
)
def test_a_service_for_anybody_on_the_network_is_warned_of(
    environment: dict[str, str], can: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_exposed(load({**environment, "WAITRESS_BIND_ADDRESS": "0.0.0.0"}))
    assert f"0.0.0.0 without JARVICE_SCHED_SERVER_KEY: whoever reaches it {can}" in caplog.text
    caplog.clear()
    warn_exposed(load({**environment, "WAITRESS_BIND_ADDRESS": "0.0.0.0", "JARVICE_SCHED_SERVER_KEY": "a:b"}))
    assert not caplog.records
