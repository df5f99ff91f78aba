"""What each setting accepts, and how a fault in one is told."""

from __future__ import annotations

import logging
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsFault
from pipeline.settings import Settings, load
from pipeline.settings.load import DECLARED
from tests.harness.keys import b64, private_key_text

KEY = private_key_text()


def faults_of(environment: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsFault) as fault:
        load(environment)
    return fault.value.faults


def test_without_anything_all_is_as_the_contract_says() -> None:
    settings = load({})
    assert settings == Settings()
    assert (settings.executor, settings.connector, settings.slurm_interface) == (
        "singularity",
        "slurm",
        "cli",
    )
    assert (settings.images_tag, settings.singularity_overlay_size) == ("latest", 600)
    assert (settings.slurm_cluster_port, settings.slurm_ssh_user) == (22, "jarvice")
    assert (settings.port, settings.slurmrestd_port) == (5000, 6820)
    assert (settings.slurmrestd_api_version, settings.slurmrestd_route) == ("auto", "ssh")
    assert settings.slurmrestd_user_claim == ("sun", "preferred_username")
    assert (settings.singularity_tmpdir, settings.singularity_verbose) == ("/tmp", False)
    assert settings.job_global_registries == ()


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("JARVICE_BAREMETAL_CONNECTOR", "connectors.slurm.connector", "connector", "slurm"),
        ("JARVICE_SCHED_LOGLEVEL", "10", "loglevel", logging.DEBUG),
        ("JARVICE_SCHED_LOGLEVEL", "debug", "loglevel", logging.DEBUG),
        ("JARVICE_SCHED_LOGLEVEL", "WARNING", "loglevel", logging.WARNING),
        ("JARVICE_SINGULARITY_VERBOSE", "True", "singularity_verbose", True),
        ("JARVICE_SINGULARITY_VERBOSE", "no", "singularity_verbose", False),
        ("JARVICE_SINGULARITY_OVERLAY_SIZE", "0", "singularity_overlay_size", 0),
        ("JARVICE_JOB_SCRATCH_DIR", "/scratch", "job_scratch_dir", "/scratch/"),
        ("JARVICE_JOB_SCRATCH_DIR", "/scratch/", "job_scratch_dir", "/scratch/"),
        ("JARVICE_JOB_GLOBAL_REGISTRIES", " a, b,,c ", "job_global_registries", ("a", "b", "c")),
        ("JARVICE_DOCKER_PASSWORD", b64encode("pä:ss".encode()).decode(), "docker_password", "pä:ss"),
        ("JARVICE_SLURM_SSH_PKEY", KEY, "slurm_ssh_pkey", KEY),
        ("JARVICE_SLURM_SSH_PKEY", b64(KEY), "slurm_ssh_pkey", KEY),
        ("JARVICE_SLURM_SSH_PKEY", "\n".join(b64(KEY).partition("5")) + "\n", "slurm_ssh_pkey", KEY),
        ("JARVICE_SLURMRESTD_ADDR", "http://restd.example.com/", "slurmrestd_addr", "http://restd.example.com"),
        ("JARVICE_SLURMRESTD_ADDR", "https://[fe80::1]", "slurmrestd_addr", "https://[fe80::1]"),
        ("JARVICE_SLURMRESTD_API_VERSION", "v0.0.40", "slurmrestd_api_version", "v0.0.40"),
        ("JARVICE_SLURMRESTD_API_VERSION", "auto", "slurmrestd_api_version", "auto"),
        ("JARVICE_SLURMRESTD_ROUTE", "direct", "slurmrestd_route", "direct"),
        ("JARVICE_SLURMRESTD_CA_FILE", "/etc/ca.pem", "slurmrestd_ca_file", Path("/etc/ca.pem")),
        ("JARVICE_SLURMRESTD_USER_CLAIM", "uid, sun", "slurmrestd_user_claim", ("uid", "sun")),
        ("JARVICE_SLURM_USER_HOME", "/home/%u/", "slurm_user_home", "/home/%u"),
        ("JARVICE_SCHED_SERVER_KEY", "user:pass:word", "server_key", "user:pass:word"),
        ("JARVICE_DOWNSTREAM_POLL_INTERVAL", "0.5", "poll_interval", 0.5),
        ("WAITRESS_PORT", "0", "port", 0),
        ("JARVICE_DOWNSTREAM_STATE_DIR", "/var/lib/x", "state_dir", Path("/var/lib/x")),
    ],
)  # fmt: skip
def test_a_variable_is_read(variable: str, text: str, key: str, value: Any) -> None:
    assert getattr(load({variable: text}), key) == value


WRONG = [
    ("JARVICE_BAREMETAL_CONNECTOR", "kubernetes", "one of slurm, local"),
    ("JARVICE_SLURM_INTERFACE", "rest", "one of cli, http"),
    ("JARVICE_SCHED_LOGLEVEL", "loud", "a number such as 10"),
    ("JARVICE_SLURM_CLUSTER_PORT", "ssh", "a whole number from 1 to 65535"),
    ("JARVICE_SLURM_CLUSTER_PORT", "0", "a whole number from 1 to 65535"),
    ("JARVICE_SLURM_CLUSTER_PORT", "65536", "a whole number from 1 to 65535"),
    ("WAITRESS_PORT", "-1", "a whole number from 0 to 65535"),
    ("JARVICE_SINGULARITY_OVERLAY_SIZE", "600MB", "a whole number from 0"),
    ("JARVICE_SINGULARITY_VERBOSE", "maybe", "true or false"),
    ("JARVICE_DOWNSTREAM_POLL_INTERVAL", "nan", "a number of seconds from 0.1 to 300"),
    ("JARVICE_DOWNSTREAM_POLL_INTERVAL", "0", "a number of seconds from 0.1 to 300"),
    ("JARVICE_DOCKER_USERNAME", "not base64", "base64 of UTF-8 text"),
    ("JARVICE_SLURM_SSH_USER", "root; id", "a user name"),
    ("JARVICE_DOWNSTREAM_JOB_NAME_PREFIX", "portal2_", "letters"),
    ("JARVICE_DOWNSTREAM_JOB_NAME_PREFIX", "a\n", "letters"),
    ("JARVICE_JOB_SCRATCH_DIR", "/scratch/%u", "a folder's absolute path without % signs"),
    (
        "JARVICE_JOB_SCRATCH_DIR",
        "/scratch\t",
        "a folder's absolute path without % signs and control characters",
    ),
    ("JARVICE_SLURMRESTD_ADDR", "restd.example.com", "a host name with http:// or https:// in front"),
    ("JARVICE_SLURMRESTD_ADDR", "http://[", "a host name with http:// or https:// in front"),
    ("JARVICE_SLURMRESTD_ADDR", "http://restd:6820", "a host name with http:// or https:// in front"),
    ("JARVICE_SLURMRESTD_ADDR", "https://restd/path", "a host name with http:// or https:// in front"),
    ("JARVICE_SLURMRESTD_ADDR", "unix:///run/restd", "a host name with http:// or https:// in front"),
    ("JARVICE_SLURMRESTD_PORT", "0", "a whole number from 1 to 65535"),
    ("JARVICE_SLURMRESTD_ROUTE", "vpn", "one of ssh, direct"),
    ("JARVICE_SLURM_USER_HOME", "/home/kirby", "an absolute path with %u for the user's name"),
    ("JARVICE_SLURM_USER_HOME", "home/%u", "an absolute path with %u for the user's name"),
    ("JARVICE_SLURMRESTD_API_VERSION", "40", "an API version such as v0.0.40, or auto"),
    ("JARVICE_DOWNSTREAM_STATE_DIR", "~nobody-of-that-name/x", "a path"),
]


@pytest.mark.parametrize(("variable", "text", "accepts"), WRONG)
def test_a_wrong_value_is_told_with_its_variable_and_what_it_accepts(
    variable: str, text: str, accepts: str
) -> None:
    [fault] = faults_of({variable: text})
    assert fault.startswith(f"{variable}: {text!r} is not {accepts}")


SECRETS = [
    ("JARVICE_SCHED_SERVER_KEY", "hunter2"),
    ("JARVICE_DOCKER_PASSWORD", "hunter2!"),
    ("JARVICE_SLURM_SSH_PKEY", "hunter2"),
    ("JARVICE_SLURM_SSH_PKEY", b64("hunter2")),
    ("JARVICE_SLURM_SSH_PKEY", "-----BEGIN hunter2"),
    ("JARVICE_SLURM_SSH_PKEY", "-----BEGIN PUBLIC KEY-----hunter2"),
    ("JARVICE_SLURM_SERVICE_TOKEN", "hunter2 hunter2"),
    ("JARVICE_SLURM_SERVICE_TOKEN", "hunter2\u00e9"),
]


@pytest.mark.parametrize(("variable", "text"), SECRETS)
def test_a_wrong_secret_is_told_without_its_value(variable: str, text: str) -> None:
    [fault] = faults_of({variable: text})
    assert fault.startswith(f"{variable}: the value is not ")
    assert text not in fault
    assert "hunter2" not in fault


def test_every_fault_is_told_at_once() -> None:
    environment = {variable: text for variable, text, _ in WRONG}
    faults = faults_of({**environment, **dict(SECRETS)})
    named = {fault.split(":", 1)[0] for fault in faults}
    assert named == set(environment) | dict(SECRETS).keys()


def test_settings_show_no_secret() -> None:
    settings = load(
        {
            "JARVICE_SCHED_SERVER_KEY": "user:hunter2",
            "JARVICE_DOCKER_PASSWORD": b64("hunter2"),
            "JARVICE_SLURM_SSH_PKEY": KEY,
            "JARVICE_SLURM_SERVICE_TOKEN": "hunter2",
        }
    )
    assert "hunter2" not in repr(settings)
    assert "PRIVATE KEY" not in repr(settings)


@pytest.mark.parametrize("key", DECLARED)
def test_every_setting_has_a_variable_a_meaning_and_a_default_that_it_accepts(key: str) -> None:
    declared = DECLARED[key]
    assert declared.variable.isupper()
    assert declared.meaning.endswith(".")
    assert declared.kind.read(declared.default) == getattr(Settings(), key)
