"""Starting with faults tells them all; ending ends the jobs of the local connector too."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.harness.fake_slurmrestd import FakeSlurmrestd
from tests.harness.forms import form, script
from tests.harness.secret_files import write_secret
from tests.harness.service import MAIN, Sent, Service, free_port
from tests.harness.waiting import eventually, within
from tests.service.conftest import LOCAL


def start(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A start that must fail, with nothing in its environment but these settings."""
    return subprocess.run(
        [sys.executable, str(MAIN)],
        cwd=folder,
        env=settings,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_all_faults_of_a_start_are_told_and_the_exit_code_is_2(tmp_path: Path) -> None:
    done = start(
        tmp_path, WAITRESS_PORT="http", JARVICE_SLURM_CLUSTER_PORT="ssh", JARVICE_SCHED_SERVER_KEY="hunter2"
    )
    assert done.returncode == 2
    assert done.stdout == ""
    for words in (
        "WAITRESS_PORT: 'http'",
        "JARVICE_SLURM_CLUSTER_PORT: 'ssh'",
        "JARVICE_SCHED_SERVER_KEY: the value",
        "JARVICE_SLURM_CLUSTER_ADDR is missing",
        "JARVICE_SLURM_SSH_PKEY is missing",
        "users_id_mapping_configuration.yaml",
    ):
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_all_faults_of_the_http_interface_are_told_and_no_mapping_is_asked_for(tmp_path: Path) -> None:
    write_secret(tmp_path / "token", "hunter2 hunter2")
    done = start(
        tmp_path,
        JARVICE_SLURM_INTERFACE="http",
        JARVICE_SLURMRESTD_ADDR="mg1",
        JARVICE_SLURMRESTD_API_VERSION="v0.0.36",
        JARVICE_SLURMRESTD_CA_FILE="none.pem",
        JARVICE_SLURM_SERVICE_TOKEN_FILE="token",
        JARVICE_SLURM_USER_HOME="/home",
    )
    assert done.returncode == 2
    for words in (
        "JARVICE_SLURMRESTD_ADDR: 'mg1'",
        "JARVICE_SLURMRESTD_API_VERSION: v0.0.36 is not one that this downstream speaks",
        "JARVICE_SLURMRESTD_CA_FILE: none.pem is not a file",
        "JARVICE_SLURM_SERVICE_TOKEN_FILE: what token holds is not a token",
        "JARVICE_SLURM_USER_HOME: '/home'",
        "JARVICE_SLURM_CLUSTER_ADDR is missing",
        "JARVICE_SLURM_SSH_PKEY is missing",
    ):
        assert words in done.stderr
    for words in ("users_id_mapping", "Traceback", "hunter2"):
        assert words not in done.stderr


def test_tokens_that_others_can_read_are_warned_of(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        JARVICE_SLURM_INTERFACE="http",
        JARVICE_SLURMRESTD_ADDR="http://mg1",
        JARVICE_SLURMRESTD_ROUTE="direct",
    )
    assert "tokens go to http://mg1 unencrypted" in done.stderr


def test_without_any_setting_the_way_to_a_first_try_is_told(tmp_path: Path) -> None:
    done = start(tmp_path)
    assert done.returncode == 2
    assert "JARVICE_BAREMETAL_CONNECTOR=local" in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "example.com"])
def test_the_local_connector_listens_on_loopback_only(tmp_path: Path, address: str) -> None:
    done = start(tmp_path, **LOCAL, WAITRESS_BIND_ADDRESS=address)
    assert done.returncode == 2
    assert f"WAITRESS_BIND_ADDRESS: {address!r} is not a loopback address" in done.stderr


@pytest.mark.parametrize(("address", "asked"), [("::1", "[::1]"), ("::", "[::1]"), ("::", "127.0.0.1")])
def test_an_address_of_ipv6_is_one_like_any_other(
    slurmrestd: FakeSlurmrestd, tmp_path: Path, request: pytest.FixtureRequest, address: str, asked: str
) -> None:
    exposed = {"JARVICE_DOWNSTREAM_BEARER_UNVERIFIED": "true", "WAITRESS_BIND_ADDRESS": address}
    service = Service(tmp_path, slurmrestd.environment | exposed)
    service.url = f"http://{asked}:{service.port}"
    request.addfinalizer(service.stop)
    service.start()
    assert f"listens on http://[{address}]:{service.port}" in service.log()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start(tmp_path, **LOCAL, WAITRESS_PORT=str(port))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}: " in done.stderr


def test_a_setting_that_is_none_is_warned_of(start_service: Callable[..., Service]) -> None:
    service = start_service({**LOCAL, "JARVICE_SCHED_LOG_LEVEL": "10"})
    assert "JARVICE_SCHED_LOG_LEVEL is not a setting; did you mean JARVICE_SCHED_LOGLEVEL?" in service.log()


def test_settings_may_come_from_a_file(start_service: Callable[..., Service], tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "site.yaml").write_text(f"connector: local\nport: {port}\n")
    service = Service(tmp_path, {"JARVICE_DOWNSTREAM_CONFIG": "site.yaml", "WAITRESS_PORT": ""})
    service.port, service.url = port, f"http://127.0.0.1:{port}"
    service.start()
    service.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_service_and_its_jobs_in_time(
    start_service: Callable[..., Service], number: signal.Signals
) -> None:
    service = start_service(LOCAL)
    body = "echo pid $$; sleep 300 & sleep 300"
    jobs = [service.submit(form(script(body), nodes=2)) for _ in range(3)]
    pids = [pid for job in jobs for pid in eventually(partial(_two_pids, service, job), pause=0.05)]
    with within(15):
        service.stop(number)
    assert "downstream ended" in service.log()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), seconds=5, pause=0.05)


def _two_pids(service: Service, job: Sent) -> list[str]:
    pids = re.findall(r"^pid (\d+)$", service.tail(job), re.MULTILINE)
    return pids if len(pids) == 2 else []


def test_a_service_that_was_killed_starts_again_and_takes_the_same_names(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(LOCAL)
    sent = service.submit(form(script("echo ran")))
    eventually(lambda: "ran" in service.tail(sent), pause=0.05)
    service.stop(signal.SIGKILL)
    service.start()
    assert service.queued() | service.running() == {}
    again = service.submit(form(script("echo ran again"), name=sent.name))
    assert "ran again" in service.exit_of(again).output
