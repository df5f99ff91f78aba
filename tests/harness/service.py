"""The downstream as a site runs it: ``python3 main.py`` in a folder, asked over HTTP as the upstream does."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.harness.waiting import eventually

MAIN = Path(__file__).parents[2] / "main.py"


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass(frozen=True)
class Sent:
    """A job that the service took."""

    name: str
    number: int
    job_id: str
    script: str

    @property
    def ref(self) -> dict[str, object]:
        """The args that speak of the job."""
        return {"name": self.name, "number": self.number, "jobid": self.job_id}


class Service:
    """A running service. Its log is in ``<folder>/service.log``."""

    def __init__(
        self, folder: Path, settings: dict[str, str], command: Sequence[str] = (sys.executable, str(MAIN))
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = requests.Session()
        self._settings = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # python3 is this one
            "HOME": str(folder),
            "WAITRESS_PORT": str(self.port),
            "JARVICE_SCHED_LOGLEVEL": "DEBUG",
            "JARVICE_DOWNSTREAM_POLL_INTERVAL": "1",
            "JARVICE_DOWNSTREAM_REQUEST_RATE": "0",  # all clients of a test have one address
            **settings,
        }
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Start it and wait until it answers."""
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.folder, env=self._settings, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        eventually(self._live, seconds=30, what="the service's first /live", pause=0.02)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for its end."""
        if self._process:
            os.killpg(self._process.pid, how)  # a start script does not pass signals on
            self._process.wait(30)
            self._process = None

    def signal(self, how: signal.Signals) -> None:
        """Send it a signal, and do not wait."""
        os.kill(self.pid, how)

    def exit_code(self, seconds: float) -> int:
        """What it ends with, which it has to in time."""
        assert self._process is not None
        code = self._process.wait(seconds)
        self._process = None
        return code

    def another_client(self) -> Service:
        """The same service asked over a connection of its own, for another thread."""
        other = copy.copy(self)
        other.http = requests.Session()
        return other

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """All that it has logged."""
        return (self.folder / "service.log").read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> requests.Response:
        """GET."""
        return self.http.get(self.url + path, timeout=60)

    def post(self, path: str, args: object) -> requests.Response:
        """POST with the one form field of the contract."""
        return self.http.post(self.url + path, data={"args": json.dumps(args)}, timeout=60)

    def submit(self, form: dict[str, Any]) -> Sent:
        """Submit a form that must be taken."""
        reply = self.post("/submit", form)
        assert reply.status_code == 200, reply.text
        job_id, script = reply.json()
        return Sent(form["name"], form["number"], job_id, script)

    def running(self) -> dict[str, str]:
        """Name to id of what runs."""
        return dict(self._list("/running"))

    def queued(self) -> dict[str, str]:
        """Name to id of what waits."""
        return dict(self._list("/queued"))

    def tail(self, job: Sent, lines: int = 100) -> str:
        """The job's last output; empty while there is none."""
        path = f"/request/{job.name}/{job.number}/{job.job_id}/tail"
        reply = self.post(path, {"qs": {"lines": [str(lines)]}})
        assert reply.status_code in (200, 404), reply.text
        return reply.text if reply.status_code == 200 else ""

    def exit_of(self, job: Sent, *, seconds: float = 90) -> Exit:
        """How the job ended, asked until it has."""
        return eventually(lambda: self._exit(job), seconds=seconds, what=f"the end of {job.name}")

    def await_running(self, job: Sent) -> None:
        """Return when the job runs."""
        eventually(lambda: self.running().get(job.name) == job.job_id, what=f"{job.name} running")

    def await_output(self, job: Sent, text: str) -> None:
        """Return when the job's last output holds this."""
        eventually(lambda: text in self.tail(job), what=f"{text!r} in the output of {job.name}")

    def _exit(self, job: Sent) -> Exit | None:
        reply = self.post("/exitstatus", job.ref)
        if reply.status_code in (409, 503):
            return None
        assert reply.status_code == 200, reply.text
        code, elapsed, (output, termination) = reply.json()
        return Exit(code, elapsed, output, termination)

    def _list(self, path: str) -> list[list[str]]:
        reply = self.get(path)
        assert reply.status_code == 200, reply.text
        answer: list[list[str]] = reply.json()
        return answer

    def _live(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the service ended at its start:\n{self.log()}"
        try:
            return self.get("/live").ok
        except requests.ConnectionError:
            return False


@dataclass(frozen=True)
class Exit:
    """The answer of /exitstatus."""

    code: int
    elapsed: str
    output: str
    termination: str

    @property
    def state(self) -> str:
        """Slurm's word in the termination line."""
        return self.termination.removeprefix("<< termination state: ").split(" ", 1)[0]
