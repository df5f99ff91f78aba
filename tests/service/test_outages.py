"""A cluster that dies under load and comes back: what is answered, how often it is asked, how it is found."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import paramiko
import pytest
import requests

from tests.harness.command_line import settings_behind_ssh
from tests.harness.dead_server import Dead
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.forms import form, script
from tests.harness.keys import private_key_text
from tests.harness.service import Service
from tests.harness.ssh_server import SshServer, new_host_key
from tests.harness.waiting import eventually, within

KEY = private_key_text()
KIRBY = jwt.encode({"email": "kirby@example.com"}, "k" * 32, algorithm="HS256")
AWAY = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    public = paramiko.Ed25519Key.from_private_key(io.StringIO(KEY))
    server = SshServer(tmp_path / "homes", {"jarvice": public, "kirby": public}, new_host_key())
    yield server
    server.stop()


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    return FakeSlurm(tmp_path / "slurm")


@pytest.fixture
def service(
    server: SshServer, slurm: FakeSlurm, tmp_path: Path, start_service: Callable[..., Service]
) -> Service:
    settings = settings_behind_ssh(tmp_path, server.port, slurm.folder, KEY)
    service = start_service({**settings, "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1"})
    assert service.running() == {}
    return service


def _under_load(service: Service, seconds: float) -> Counter[int]:
    """Statuses of what eight clients ask for so long, without a pause."""
    until = time.monotonic() + seconds
    seen: Counter[int] = Counter()
    lock = threading.Lock()

    def ask(_: int) -> None:
        client = service.another_client()
        while time.monotonic() < until:
            for path in ("/running", "/queued"):
                reply = client.get(path)
                with lock:
                    seen[reply.status_code] += 1
                if reply.status_code == 503:
                    assert int(reply.headers["Retry-After"]) >= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    return seen


def _says_when(service: Service) -> None:
    """What an open circuit has said at once, on each path."""
    with within(1):
        assert service.get("/live").json() == {"status": "OK"}
        ready = service.get("/ready")
        assert ready.status_code == 503
        assert "127.0.0.1" not in ready.text
        gc = service.get("/gc")
        assert (gc.status_code, gc.json()["status"]) == (500, "BAD")
    # It may be the one call that has been let through to see.
    told = ("has not answered since 2", "ssh: ", "Unable to contact slurm controller")
    assert any(words in gc.json()["error"] for words in told), gc.text


def test_a_host_that_dies_and_comes_back(service: Service, server: SshServer) -> None:
    server.stop()
    dead = Dead(server.port)
    seen = _under_load(service, 3)  # the last snapshot is an answer until the first poll has failed
    assert seen[503] > 100, "nobody waits"
    told = service.log().count(" WARNING ")
    assert set(_under_load(service, 0.2)) == {503}, "never a short list"
    assert dead.connections <= 3 + 4, "three, and one each after about 1, 2, 4 s"
    _says_when(service)
    asked = dead.connections
    for _ in range(20):
        assert service.post("/submit", form(script("echo"), bearer=KIRBY)).status_code == 503
    assert dead.connections <= asked + 2
    warnings = [line for line in service.log().splitlines() if " WARNING " in line and "circuit" in line]
    assert len(warnings) == 1, warnings
    assert service.log().count(" WARNING ") == told, "not one for each failed request"

    dead.stop()
    back = SshServer(server.folder, server.users, server.host_key, port=server.port)
    # Only the probes of Kubernetes ask now: nobody else would, of a service that is not ready.
    eventually(lambda: service.get("/ready").status_code == 200, seconds=12, pause=0.1)
    assert service.running() == {}
    assert service.get("/gc").json() == {"status": "OK"}
    assert service.post("/submit", form(script("echo"), bearer=KIRBY)).status_code == 200
    assert "answers again, after " in service.log()
    back.stop()


def test_a_slurmctld_that_goes_away_and_comes_back(service: Service, slurm: FakeSlurm) -> None:
    sent = service.submit(form(script("echo"), bearer=KIRBY))
    for name in ("squeue", "sbatch", "scontrol"):
        slurm.command(name, AWAY)
    polls = len(slurm.calls("squeue"))
    assert set(_under_load(service, 3)) <= {503, 200}
    assert set(_under_load(service, 0.2)) == {503}
    assert len(slurm.calls("squeue")) <= polls + 10
    _says_when(service)
    tries = len(slurm.calls("sbatch"))
    waiting = form(script("echo"), bearer=KIRBY)
    for _ in range(10):
        assert service.post("/submit", waiting).status_code == 503
    assert len(slurm.calls("sbatch")) <= tries + 1, "what cannot be sent is not sent"
    assert service.post("/runstatus", sent.ref).status_code == 503, "not four nulls: nobody knows"

    for name in ("squeue", "sbatch", "scontrol"):
        slurm.restore(name)
    eventually(lambda: service.get("/running").status_code == 200, seconds=15, pause=0.1)
    assert sent.name in service.queued()
    assert requests.get(service.url + "/ready", timeout=5).status_code == 200
    assert service.log().count("answers again, after ") == 1
