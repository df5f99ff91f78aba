"""Days of the upstream's polls, as fast as they are answered: memory, open files and threads stay flat."""

from __future__ import annotations

import http.client
import io
import json
import os
import statistics
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import paramiko
import yaml

from tests.harness.fake_slurm import FakeSlurm
from tests.harness.forms import form, script
from tests.harness.keys import private_key_text
from tests.harness.service import Sent, Service
from tests.harness.ssh_server import SshServer, new_host_key
from tests.torture.rounds import Round

JOBS = 20
"""Jobs that are there at a time: "some tens"."""
_PAUSE = 5
"""Seconds that the upstream waits between its rounds of polls."""
_CLIENTS = 3
_TURNOVER = 10
"""Rounds of polls after which a job ends and another one is sent."""
_PERIOD, _AWAY = 400, 12
"""Slurm does not answer in the last so many of so many rounds."""
_WARM = 0.4
"""The share of the time in which memory may still grow: caches fill, and the allocator finds its size."""
_MOST_MIB = 4.0
"""By which memory may seem to grow in the rest of the time; a KiB leaked by each poll would be far more."""
_SOME = 3
"""Files and threads that may be more than there were: a connection that is made while another ends."""


@dataclass(frozen=True)
class Sample:
    """The service at one moment."""

    seconds: float
    rounds: int
    mib: float
    files: int
    threads: int


@dataclass
class Polled:
    """What came of a round."""

    samples: list[Sample] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    squeues: int = 0
    rounds: int = 0
    seconds: float = 0
    jobs: int = 0
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures, for people."""
        requests = sum(self.answers.values())
        hours = self.rounds * _PAUSE / 3600
        told = ", ".join(f"{count} {answer}" for answer, count in sorted(self.answers.items()))
        first, warm, last = self.samples[0], self.warm, self.samples[-1]
        files, threads = (max(getattr(each, what) for each in warm) for what in ("files", "threads"))
        return [
            f"polls     {self.rounds} rounds: {hours:.1f} hours of the upstream's in {self.seconds:.0f} s, "
            f"{hours * 3600 / self.seconds:.0f} times its speed",
            f"requests  {requests}, {requests / self.seconds:.0f}/s ({told}); squeues {self.squeues}",
            f"jobs      {JOBS} at a time, {self.jobs} in all, their ends collected",
            f"memory    {first.mib:.1f} at first, {warm[0].mib:.1f} warm, {last.mib:.1f} at last, by slope "
            f"{self.growth:+.2f} MiB, {self.growth_of_a_day:+.1f} a day",
            f"files     {warm[0].files} warm, {files} at the most, {last.files} at last",
            f"threads   {warm[0].threads} warm, {threads} at the most, {last.threads} at last",
        ]

    @property
    def warm(self) -> Sequence[Sample]:
        """The samples after the warm-up."""
        until = self.samples[-1].seconds * _WARM
        return [each for each in self.samples if each.seconds >= until]

    @property
    def growth(self) -> float:
        """MiB in the time after the warm-up, by the slope of all its samples."""
        return self._slope * (self.warm[-1].rounds - self.warm[0].rounds)

    @property
    def growth_of_a_day(self) -> float:
        """MiB that so steep a growth would make in a day of the upstream's."""
        return self._slope * 24 * 3600 / _PAUSE

    @property
    def _slope(self) -> float:
        fit = statistics.linear_regression(
            [each.rounds for each in self.warm], [each.mib for each in self.warm]
        )
        return fit.slope

    def judge(self) -> None:
        """Tell what is not flat."""
        if self.growth > _MOST_MIB:
            self.broken.append(f"memory grows: {self.growth:.1f} MiB since the service is warm")
        before = [each for each in self.samples if each not in self.warm] or self.samples[:1]
        for what in ("files", "threads"):
            most, later = (max(getattr(each, what) for each in part) for part in (before, self.warm))
            if later > most + _SOME:
                self.broken.append(f"{what} grow: {most} at the most at first, {later} later")


class _Cluster:
    """Slurm's commands behind an SSH server in this process; its jobs come and go."""

    def __init__(self, folder: Path) -> None:
        key = private_key_text()
        public = paramiko.Ed25519Key.from_private_key(io.StringIO(key))
        self.server = SshServer(folder / "homes", dict.fromkeys(("jarvice", "kirby"), public), new_host_key())
        self.slurm = FakeSlurm(folder / "slurm")
        self._polls = folder / "polls"
        self.is_away = False
        self.comes_back()
        self.slurm.command("sbatch", f"sed -n 's/^#SBATCH --job-name=//p' >{folder}/name; cat {folder}/next")
        # What has left the queue: accounting knows it.
        self._gone = folder / "gone"
        self._gone.touch()
        self.slurm.command("sacct", f"cat {self._gone}")
        self._name, self._next = folder / "name", folder / "next"
        self._last = 100
        self._lines: dict[str, str] = {}
        self.settings = {
            "JARVICE_SLURM_CLUSTER_ADDR": "127.0.0.1",
            "JARVICE_SLURM_CLUSTER_PORT": str(self.server.port),
            "JARVICE_SLURM_SSH_PKEY": key,
            "JARVICE_SLURM_BIN_DIR": str(self.slurm.folder),
            "JARVICE_USERS_ID_MAPPING": str(_mapping(folder, key)),
        }

    def expect(self) -> None:
        """The next job that is sent has the next id."""
        self._last += 1
        self._next.write_text(f"{self._last}\n", encoding="ascii")

    def accept(self, job: Sent) -> None:
        """The job that was sent runs."""
        self._lines[job.job_id] = f"{job.job_id}|kirby|RUNNING|jarvice_{job.name}"
        self._write()

    def end(self, job: Sent, *, gone: bool) -> None:
        """The job is over; or squeue has forgotten it already, and accounting says how it ended."""
        del self._lines[job.job_id]
        if gone:
            line = f"{job.job_id}|kirby|COMPLETED|0:05|n1|0:0|jarvice_{job.name}\n"
            self._gone.write_text(line, encoding="ascii")
        else:
            self._lines[job.job_id] = f"{job.job_id}|kirby|COMPLETED|jarvice_{job.name}"
        self._write()

    def forget(self, job: Sent) -> None:
        """squeue shows the job no more."""
        self._lines.pop(job.job_id, None)
        self._write()

    def goes_away(self) -> None:
        """slurmctld does not answer."""
        self.is_away = True
        complaint = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
        for name in ("squeue", "scontrol"):
            self.slurm.command(name, f"echo '{complaint}' >&2; exit 1")

    def comes_back(self) -> None:
        """It answers."""
        self.is_away = False
        for name in ("squeue", "scontrol"):
            self.slurm.restore(name)

    def squeues(self) -> int:
        """How often squeue was asked."""
        return len(self.slurm.calls("squeue"))

    def _write(self) -> None:
        self.slurm.set_jobs(*self._lines.values())


def _mapping(folder: Path, key: str) -> Path:
    file = folder / "mapping.yaml"
    file.touch(mode=0o600)
    entry = {
        "user": "kirby", "jarvice_user": "kirby", "mail": "kirby@example.com", "mapped_user": "kirby",
        "ssh_private_key_b64": b64encode(key.encode()).decode(),
    }  # fmt: skip
    file.write_text(yaml.safe_dump({"users_id_mapping": [entry]}), encoding="ascii")
    return file


class _Poller:
    """One client of the service, over one connection that it keeps."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.answers: Counter[str] = Counter()

    def get(self, path: str) -> None:
        self._ask("GET", path, None)

    def post(self, path: str, args: object) -> None:
        self._ask("POST", path, urlencode({"args": json.dumps(args)}))

    def _ask(self, method: str, path: str, body: str | None) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        self._connection.request(method, path, body, headers)
        reply = self._connection.getresponse()
        reply.read()
        self.answers[str(reply.status)] += 1


def run(size: int, seed: int, folder: Path) -> Polled:
    """Poll for so many seconds. There is no chance in it."""
    polled = Polled()
    with _running(folder, size) as (cluster, service):
        _Day(cluster, service, polled).poll(size)
        polled.squeues = cluster.squeues()
    polled.judge()
    return polled


@contextmanager
def _running(folder: Path, seconds: int) -> Iterator[tuple[_Cluster, Service]]:
    cluster = _Cluster(folder)
    settings = {
        **cluster.settings,
        "JARVICE_SCHED_LOGLEVEL": "ERROR",
        "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1",
        "JARVICE_DOWNSTREAM_REQUEST_RATE": "0",  # a day of polls comes from one address in minutes
        # What is kept for an hour of the upstream's time is there after a part of the warm-up.
        "JARVICE_DOWNSTREAM_RETENTION": str(max(1, seconds // 20)),
    }
    place = folder / "service"
    place.mkdir()
    service = Service(place, settings).start()
    try:
        yield cluster, service
    finally:
        service.stop()
        cluster.server.stop()


class _Day:
    """The upstream's rounds of polls, and what the cluster does meanwhile."""

    def __init__(self, cluster: _Cluster, service: Service, polled: Polled) -> None:
        self._cluster = cluster
        self._service = service
        self._polled = polled
        self._jobs: list[Sent] = [self._sent() for _ in range(JOBS)]
        self._pollers = [_Poller(service.port) for _ in range(_CLIENTS)]

    def poll(self, seconds: float) -> None:
        """All rounds of so many seconds, and a few at least."""
        begun = time.monotonic()
        next_sample = begun
        while (
            (now := time.monotonic()) < begun + seconds
            or self._polled.rounds <= 2 * _TURNOVER
            or self._cluster.is_away
        ):
            self._outage()
            if not self._cluster.is_away and self._polled.rounds % _TURNOVER == 0:
                self._turn_over(gone=self._polled.rounds % (3 * _TURNOVER) == 0)
            self._round()
            if now >= next_sample:
                self._sample(now - begun)
                next_sample = now + seconds / 200
        self._sample(time.monotonic() - begun)
        self._polled.seconds = time.monotonic() - begun
        for poller in self._pollers:
            self._polled.answers += poller.answers

    def _round(self) -> None:
        """What the upstream asks every few seconds, by several clients at a time."""
        shares = [self._jobs[number::_CLIENTS] for number in range(_CLIENTS)]
        asks = [
            threading.Thread(target=_ask_all, args=(poller, share, number))
            for number, (poller, share) in enumerate(zip(self._pollers, shares, strict=True))
        ]
        for each in asks:
            each.start()
        for each in asks:
            each.join()
        self._polled.rounds += 1

    def _outage(self) -> None:
        place = self._polled.rounds % _PERIOD
        if place == _PERIOD - _AWAY:
            self._cluster.goes_away()
        elif place == 0 and self._cluster.is_away:
            self._cluster.comes_back()
            self._until_known()

    def _turn_over(self, *, gone: bool) -> None:
        """A job ends, its end is collected, another one is sent."""
        job = self._jobs.pop(0)
        self._cluster.end(job, gone=gone)
        end = self._service.exit_of(job, seconds=60)
        if end.state != "COMPLETED":
            self._polled.broken.append(f"job {job.job_id} ended COMPLETED, and is told to be {end.state}")
        self._cluster.forget(job)
        self._jobs.append(self._sent())

    def _sent(self) -> Sent:
        self._cluster.expect()
        sent = self._service.submit(form(script("echo")))
        self._cluster.accept(sent)
        self._polled.jobs += 1
        return sent

    def _until_known(self) -> None:
        """Return when the service has seen that the cluster is back."""
        deadline = time.monotonic() + 60
        while self._service.get("/running").status_code != 200:
            if time.monotonic() > deadline:
                raise AssertionError("the cluster answers again, and /running does not")
            time.sleep(0.1)

    def _sample(self, seconds: float) -> None:
        process = Path("/proc", str(self._service.pid))
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        self._polled.samples.append(
            Sample(
                seconds,
                self._polled.rounds,
                int(status["VmRSS"].split()[0]) / 1024,
                len(os.listdir(process / "fd")),
                int(status["Threads"]),
            )
        )


def _ask_all(poller: _Poller, jobs: Sequence[Sent], number: int) -> None:
    poller.get(("/running", "/queued", "/gc")[number % 3])
    for job in jobs:
        poller.post("/runstatus", job.ref)


ROUND = Round(
    "polls",
    "Days of polls leave memory, open files and threads as they were.",
    540,
    "seconds of polls",
    run,
)
