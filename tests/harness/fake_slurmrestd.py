"""slurmrestd with a dictionary for a cluster: versions, jobs and faults as a test wants them."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt

from pipeline import settings
from pipeline.settings import Settings

KEY = "the key that this slurmrestd and its tokens share, 32 bytes or more"
_PATH = re.compile(r"/(slurm|slurmdb)/(v0\.0\.\d+)/([a-z]+(?:/[a-z]+)?)(?:/(\d+))?(?:\?(.*))?")


def token(user: str, *, claim: str = "sun", lifetime: float = 86400, **claims: object) -> str:
    """A token as ``scontrol token`` makes it."""
    return jwt.encode({claim: user, "exp": int(time.time() + lifetime), **claims}, KEY, algorithm="HS256")


@dataclass(frozen=True)
class Asked:
    """A request: ``GET job/7``, its version, who asked, and what else came."""

    what: str
    version: str
    user: str
    headers: dict[str, str] = field(repr=False)
    document: Any


@dataclass(frozen=True)
class Answer:
    """Status and body; text where the body is no JSON."""

    status: int
    body: Any


@dataclass
class FakeJob:
    """A job that slurmctld knows."""

    job_id: int
    name: str
    user: str
    state: list[str] = field(default_factory=lambda: ["PENDING"])
    exit_code: int = 0
    reason: str = "None"
    comment: str = ""

    def _exit_code(self) -> dict[str, Any]:
        return {"return_code": {"set": True, "infinite": False, "number": self.exit_code}, "signal": {}}

    def record(self) -> dict[str, Any]:
        """As ``GET job`` shows it."""
        start = {"set": True, "infinite": False, "number": 1000}
        end = {"set": True, "infinite": False, "number": 1065}
        return {"job_id": self.job_id, "name": self.name, "user_name": self.user, "job_state": self.state,
                "nodes": "n1", "start_time": start, "end_time": end, "state_reason": self.reason,
                "exit_code": self._exit_code(), "comment": self.comment}  # fmt: skip

    def accounted(self) -> dict[str, Any]:
        """As accounting shows it."""
        return {"job_id": self.job_id, "name": self.name, "user": self.user, "nodes": "n1",
                "state": {"current": self.state}, "time": {"start": 1000, "end": 1065},
                "exit_code": self._exit_code()}  # fmt: skip


Fault = Callable[[Callable[[], Answer]], Answer | None]
"""Given what would be done, the answer in its place; None cuts the connection."""


def cut_off_before(do: Callable[[], Answer]) -> None:
    """The request comes to nothing and has no answer."""


def cut_off_after(do: Callable[[], Answer]) -> None:
    """The request is carried out and has no answer."""
    do()


def instead(status: int, body: Any) -> Fault:
    """Another answer, and nothing is done."""
    return lambda do: Answer(status, body)


def error(number: int, text: str, status: int) -> Answer:
    """An answer with one error."""
    return Answer(status, {"errors": [{"error_number": number, "error": text, "description": ""}]})


class FakeSlurmrestd:
    """Serves ``versions`` and knows ``jobs``; takes tokens that were signed with the key above."""

    def __init__(self) -> None:
        self.versions = ["v0.0.40", "v0.0.41", "v0.0.42"]
        self.jobs: dict[int, FakeJob] = {}
        self.accounting: list[FakeJob] = []
        """Oldest first; jobs that slurmctld has forgotten, or an id's earlier runs."""
        self.faults: dict[str, list[Fault]] = {}
        """By ``GET jobs/state`` and the like, one for each of the next requests."""
        self.asked: list[Asked] = []
        self.slurmctld_is_up = True
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a downstream that sends and manages its jobs here, and needs no SSH."""
        return {
            "JARVICE_SLURM_INTERFACE": "http",
            "JARVICE_SLURMRESTD_ADDR": "http://127.0.0.1",
            "JARVICE_SLURMRESTD_PORT": str(self.port),
            "JARVICE_SLURMRESTD_ROUTE": "direct",
            "JARVICE_SLURM_SERVICE_TOKEN": token("jarvice"),
            "JARVICE_SLURM_USER_HOME": "/home/%u",
        }

    def settings(self, state_dir: Path) -> Settings:
        """The same, read."""
        return replace(settings.load(self.environment), state_dir=state_dir)

    def add(self, job_id: int, name: str, user: str = "kirby", state: str = "PENDING") -> FakeJob:
        """Have a job."""
        self.jobs[job_id] = FakeJob(job_id, name, user, [state])
        return self.jobs[job_id]

    def calls(self, what: str) -> list[Asked]:
        """The requests that begin with this, oldest first."""
        return [asked for asked in self.asked if asked.what.startswith(what)]

    def submissions(self) -> int:
        """How many jobs were sent."""
        return len(self.calls("POST job/submit"))

    @contextmanager
    def slow(self, what: str, times: int = 100) -> Iterator[threading.Event]:
        """Hold these requests back until the event is set, or the block is left."""
        go_on = threading.Event()

        def hold(do: Callable[[], Answer]) -> Answer:
            go_on.wait(20)
            return do()

        self.faults[what] = [hold] * times
        yield go_on
        self.faults.pop(what, None)
        go_on.set()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """What a request is answered; None cuts the connection."""
        match = _PATH.fullmatch(path)
        if match is None or match[2] not in self.versions:
            return Answer(404, "Unable find requested URL. Please view /openapi/v3 for API reference.")
        area, version, kind, job_id, query = match.groups()
        what = f"{method} {'slurmdb/' if area == 'slurmdb' else ''}{kind}" + (f"/{job_id}" if job_id else "")
        given = headers.get("x-slurm-user-token", "")
        user = _user_of(given)
        with self._lock:
            self.asked.append(Asked(what, version, user, headers, json.loads(body) if body else None))
            waiting = next((faults for key, faults in self.faults.items() if what.startswith(key)), [])
            fault = waiting.pop(0) if waiting else None

        def do() -> Answer:
            if not given:
                return Answer(401, "Authentication failure")
            if what == "GET ping":
                return self._ping(user)
            if not user:
                return error(1007, "Protocol authentication error", 511)
            return self._do(what, int(job_id or 0), user, query or "", body)

        return fault(do) if fault else do()

    def _ping(self, user: str) -> Answer:
        is_up = self.slurmctld_is_up and bool(user)
        return Answer(200, {"pings": [{"hostname": "head", "responding": is_up}], "errors": []})

    def _do(self, what: str, job_id: int, user: str, query: str, body: bytes) -> Answer:
        with self._lock:
            job = self.jobs.get(job_id)
            if what == "POST job/submit":
                job_id = 100 + len(self.jobs)
                sent = json.loads(body)["job"]
                self.add(job_id, sent["name"], user).comment = sent.get("comment", "")
                return Answer(200, {"job_id": job_id, "errors": []})
            if what == "GET jobs/state":
                only = [each.removeprefix("job_id=") for each in query.split("&") if each]
                jobs = [each for each in self.jobs.values() if not only or str(each.job_id) in only]
                states = [{"job_id": str(each.job_id), "state": each.state} for each in jobs]
                return Answer(200, {"jobs": states, "errors": []})
            if what.startswith("GET slurmdb/job/"):
                runs = [run.accounted() for run in self.accounting if run.job_id == job_id]
                return Answer(200, {"jobs": runs, "errors": []})
            if what == "GET slurmdb/jobs":
                wanted = parse_qs(query)["job_name"]
                runs = [run.accounted() for run in self.accounting if run.name in wanted]
                return Answer(200, {"jobs": runs, "errors": []})
            if job is None:
                return error(2017, "Invalid job id specified", 404)
            if what.startswith("DELETE"):
                job.state = ["CANCELLED"]
                return Answer(200, {"errors": []})
            if what.startswith("POST"):
                return Answer(200, {"errors": []})
            return Answer(200, {"jobs": [job.record()], "errors": []})


def _user_of(token: str) -> str:
    """Who Slurm says has this token; empty: nobody."""
    try:
        claims = jwt.decode(token, KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return ""
    return str(claims.get("sun") or claims.get("preferred_username") or "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # of 5, the default, the kernel makes who comes sixth at once wait a second


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeSlurmrestd

    def setup(self) -> None:
        super().setup()
        self.wfile = self.connection.makefile("wb")  # head and body in one segment

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        answer = self.fake.answer(self.command, self.path, headers, body)
        if answer is None:
            self.close_connection = True
            return
        is_text = isinstance(answer.body, str)
        data = answer.body.encode() if is_text else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/plain" if is_text else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    do_POST = do_DELETE = do_GET  # noqa: N815  # http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
        return
