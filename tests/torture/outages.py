"""Daemons of the cluster go away while jobs are sent and polled: none is lost, none is doubled."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.cluster import Cluster
from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.harness.waiting import eventually
from tests.on_cluster.outage import well
from tests.torture.bed import USERS, Several, interfaces, service
from tests.torture.ledger import InSlurm, Ledger
from tests.torture.lists import Polls
from tests.torture.rounds import Round
from tests.torture.tally import Tally
from tests.torture.upstream import Upstream

EACH = 0.4
"""Seconds from one submission to the next."""
FROZEN = 15
"""Seconds: Slurm's commands give each other up after 10."""
UNSAVED = 10
"""Seconds after which slurmctld has written a job down; what is younger dies with it when it is killed."""
_CLIENTS = 40
_BACK = {"stop": "start", "kill": "start", "freeze": "thaw"}


@dataclass(frozen=True)
class Outage:
    """What happens to a daemon of the head."""

    daemon: str
    how: str

    def __str__(self) -> str:
        return f"{self.daemon} {self.how}"


OUTAGES = {
    "cli": [
        Outage("slurmctld", "stop"),
        Outage("slurmctld", "kill"),
        Outage("slurmctld", "freeze"),
        Outage("slurmdbd", "stop"),
        Outage("slurmdbd", "kill"),
        Outage("sshd", "kill"),
        Outage("sshd", "freeze"),
    ],
    "http": [
        Outage("slurmctld", "stop"),
        Outage("slurmctld", "kill"),
        Outage("slurmctld", "freeze"),
        Outage("slurmdbd", "stop"),
        Outage("slurmrestd", "stop"),
        Outage("slurmrestd", "kill"),
        Outage("slurmrestd", "freeze"),
        Outage("sshd", "kill"),
    ],
}

_KILLED = Outage("slurmctld", "kill")


@dataclass
class Survived:
    """What came of an outage."""

    interface: str
    outage: Outage
    names: int = 0
    away: float = 0
    recovered: float = 0
    """Seconds from when the daemon was back until all was answered again."""
    settled: float = 0
    """Seconds from then until the last name that was sent meanwhile had its id."""
    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0
    polls: str = ""
    tally: Tally = field(default_factory=Tally)
    forgotten: int = 0
    """Jobs that slurmctld had taken and not yet written down when it was killed."""
    repeated: int = 0
    """Jobs that it started again after that, for it had not written down that they had run."""
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures, for people."""
        asked = ", ".join(f"{count} {answer}" for answer, count in sorted(self.answers.items()))
        forgotten = (
            f"; slurmctld forgot {self.forgotten} that it had not written down" if self.forgotten else ""
        )
        return [
            f"{self.interface}, {self.outage} for {self.away:.0f} s: well {self.recovered:.1f} s after, "
            f"the last name that met it taken after {self.settled:.1f} s",
            f"  submissions {asked}, the slowest {self.slowest:.1f} s; polls {self.polls}",
            f"  of {self.names} {self.tally.told()}{forgotten}",
        ]


def survive(interface: Interface, outage: Outage, folder: Path, *, away: float) -> Survived:
    """Send jobs and ask for lists before, while the daemon is away, and until all is well again."""
    cluster = interface.cluster
    result = Survived(interface.name, outage)
    with ExitStack() as stack:
        ledger = Ledger(cluster, "outage")
        stack.callback(ledger.clear)
        asked = service(interface, folder)
        stack.callback(asked.stop)
        asked.start()
        upstream = Upstream([asked.url], 0)
        queued, running = _jobs_that_stay(asked, upstream, ledger)
        if outage.daemon == "slurmctld":
            time.sleep(UNSAVED)
        with Polls([asked], queued=queued, running=running) as polls:
            with _Stream(upstream, ledger) as stream:
                time.sleep(2)
                began = time.time()
                with _outage(cluster, outage):
                    time.sleep(max(away, FROZEN) if outage.how == "freeze" else away)
                    result.away = time.time() - began
                back = time.time()
                eventually(lambda: _all_well(asked, stream), seconds=120, what=f"well again after {outage}")
                result.recovered = time.time() - back
                met_it = len(stream.forms)
            taken = [stream.taken.get(args["name"], back) for args in stream.forms[:met_it]]
            result.settled = max(0.0, max(taken) - back)
            for args in stream.forms:  # all names are asked for again
                upstream.until_taken(args)
        in_slurm = ledger.until_over(
            {**queued, **running}, lambda: _free_what_it_held(cluster) if outage == _KILLED else None
        )
        names = [args["name"] for args in stream.forms]
        young = [name for name in names if began - UNSAVED < stream.taken.get(name, 0) < began + 1]
        forgotten, repeated = _slurms_own(outage, young, ledger, in_slurm)
        remembered = [name for name in names if name not in forgotten | repeated]
        result.tally = Tally.of(remembered, upstream.given, ledger, in_slurm)
    result.names, result.forgotten, result.repeated = len(names), len(forgotten), len(repeated)
    result.answers, result.slowest, result.polls = upstream.answers, upstream.slowest, polls.told()
    result.broken = [
        f"{interface.name}, {outage}: {what}"
        for what in [*result.tally.broken, *upstream.refused, *polls.short]
    ]
    return result


class _Stream:
    """Sends a new name every now and then, while it is entered; then waits until all have their ids."""

    def __init__(self, upstream: Upstream, ledger: Ledger) -> None:
        self.forms: list[dict[str, Any]] = []
        self.taken: dict[str, float] = {}
        """When each name had its id."""
        self._upstream = upstream
        self._ledger = ledger
        self._pool = ThreadPoolExecutor(_CLIENTS)
        self._sent: list[Future[None]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> _Stream:
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self._over.set()
        self._thread.join()
        with self._pool:
            for each in self._sent:
                each.result()

    def _work(self) -> None:
        while not self._over.wait(EACH):
            args = self._ledger.forms(1, first=len(self.forms))[0]
            self.forms.append(args)
            self._sent.append(self._pool.submit(self._send, args))

    def _send(self, args: Mapping[str, Any]) -> None:
        if self._upstream.until_taken(args):
            self.taken[args["name"]] = time.time()


def _jobs_that_stay(
    asked: Service, upstream: Upstream, ledger: Ledger
) -> tuple[dict[str, str], dict[str, str]]:
    """Name to id of jobs that are queued, and of jobs that run, all the while."""
    stay: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for held, jobs in zip((True, False), stay, strict=True):
        for user in USERS:
            args = ledger.form_that_stays(user, held=held)
            jobs[args["name"]] = str(upstream.until_taken(args))
    queued, running = stay
    eventually(lambda: running.items() <= asked.running().items(), what="the jobs that stay")
    return queued, running


@contextmanager
def _outage(cluster: Cluster, outage: Outage) -> Iterator[None]:
    cluster.daemon(outage.daemon, outage.how)
    try:
        yield
    finally:
        cluster.daemon(outage.daemon, _BACK[outage.how])


def _all_well(asked: Service, stream: _Stream) -> bool:
    """Whether all questions are answered, and a name that was sent a moment ago has its id."""
    return well(asked) and bool(stream.forms) and stream.forms[-1]["name"] in stream.taken


def _free_what_it_held(cluster: Cluster) -> None:
    """What an administrator does after slurmctld was killed: it has given ids a second time.

    A node that still has the first job of an id launches no second one: the job is held, the node drained.
    """
    queue = cluster.run("squeue", "--noheader", "--all", "--states=PENDING", "--format=%A|%r")
    held = [line.split("|")[0] for line in queue.splitlines() if line.endswith("launch failed requeued held")]
    nodes = cluster.run("sinfo", "--noheader", "--Node", "--format=%N|%E").splitlines()
    drained = sorted({line.split("|")[0] for line in nodes if line.endswith("Duplicate jobid")})
    if drained:
        cluster.run("scontrol", "update", f"NodeName={','.join(drained)}", "State=RESUME")
    if held:
        cluster.run("scontrol", "release", *held)


def _slurms_own(
    outage: Outage, young: Sequence[str], ledger: Ledger, in_slurm: Mapping[str, Sequence[InSlurm]]
) -> tuple[set[str], set[str]]:
    """Names whose jobs a killed slurmctld forgot, or started again as the same job: it had not saved them."""
    if outage != _KILLED:
        return set(), set()
    runs = ledger.runs()
    forgotten = {name for name in young if not in_slurm.get(name)}
    repeated = {name for name in young if len(runs.get(name, [])) > 1 and len(set(runs[name])) == 1}
    return forgotten, repeated


def _run(size: int, seed: int, folder: Path) -> Several:
    """Every daemon, one after the other."""
    with interfaces("cli", "http") as ways:
        return Several(
            [
                survive(way, outage, folder / f"{way.name}-{outage.daemon}-{outage.how}", away=size)
                for way in ways
                for outage in OUTAGES[way.name]
            ]
        )


ROUND = Round(
    "outages",
    "No daemon that goes away while jobs are sent costs a job or makes two, and no list is ever short.",
    8,
    "seconds that each of them is away",
    _run,
    needs_cluster=True,
)
