"""The network does harm at every step of a submission: an id or a 5xx in time, and one job in the end."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.harness.fault_proxy import Chunk, Fault, FaultProxy, Harm, Way, fault_proxy
from tests.harness.forms import form, script
from tests.harness.interface import Interface, bearer
from tests.harness.slurmrestd import straight_at
from tests.torture.bed import Several, interfaces, service
from tests.torture.ledger import Ledger
from tests.torture.rounds import Round
from tests.torture.upstream import CALL_SECONDS, Upstream

WORKERS = 6
SETTLED = 150
"""Seconds in which a submission that was cut off has its id, when the network is well again."""
_NEW = 22
"""Seconds in which a process of ``http`` that has begun still looks for what an earlier one has sent."""
_SSH_WORDS = {20: "algorithms", 21: "new keys", 30: "key exchange", 31: "key exchange"}


@dataclass(frozen=True)
class Step:
    """One chunk of a submission."""

    way: Way
    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.way.value}{self.number} {self.what}"


@dataclass(frozen=True)
class Case:
    """A harm at a step, and what came of it."""

    step: Step
    fault: Fault
    answered: str
    seconds: float
    """Until the first answer."""
    harmed: int
    """How many chunks were; none when the submission did not come so far."""
    settled: float
    """Seconds until there was an id, from when the network was well again."""
    broken: str = ""

    def __str__(self) -> str:
        if not self.harmed:
            return "not met"
        later = "" if self.answered == "200" else f" +{self.settled:.1f}"
        return f"{self.answered} {self.seconds:.1f}{later}{' BROKEN' if self.broken else ''}"


@dataclass
class Harmed:
    """What came of a round."""

    interface: str
    cases: list[Case] = field(default_factory=list)
    seconds: float = 0

    @property
    def broken(self) -> list[str]:
        """Promises that were, each with the step and the harm."""
        return [f"{case.step}, {_called(case.fault)}: {case.broken}" for case in self.cases if case.broken]

    def lines(self) -> list[str]:
        """The figures, for people: a line for each step."""
        met = [case for case in self.cases if case.harmed]
        answers = Counter(case.answered for case in met)
        told = ", ".join(f"{count} {answer}" for answer, count in sorted(answers.items()))
        slowest = max((case.seconds for case in met), default=0)
        longest = max((case.settled for case in met), default=0)
        harms = list(dict.fromkeys(_called(case.fault) for case in self.cases))
        table = [["step", *harms]]
        for step in dict.fromkeys(case.step for case in self.cases):
            cells = {_called(case.fault): str(case) for case in self.cases if case.step == step}
            table.append([str(step), *(cells.get(harm, "") for harm in harms)])
        widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
        return [
            f"{self.interface}: {len(met)} harms at {len(table) - 1} steps in {self.seconds:.0f} s: {told}",
            f"  the slowest answer {slowest:.1f} s, the longest wait for an id once the network was well "
            f"{longest:.1f} s",
            "  (answer and its seconds, + seconds until there was an id)",
            *(
                "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                for row in table
            ),
        ]


def faults(
    interface: Interface,
    folder: Path,
    *,
    choose: Callable[[list[tuple[Step, Fault]]], list[tuple[Step, Fault]]] = list,
    **settings: str,
) -> Harmed:
    """Do every harm at every step, or those chosen, several at a time, each to a submission of its own."""
    result = Harmed(interface.name)
    begun = time.monotonic()
    with ExitStack() as stack:
        ledger = Ledger(interface.cluster, "faults")
        stack.callback(ledger.clear)
        beds: SimpleQueue[_Bed] = SimpleQueue()
        for number in range(WORKERS):
            beds.put(_Bed(interface, folder / f"service-{number}", ledger, stack, settings))
        if interface.name != "cli":
            time.sleep(_NEW)
        first = beds.get()
        steps = first.steps()
        beds.put(first)

        def one(chosen: tuple[Step, Fault]) -> Case:
            bed = beds.get()
            try:
                return bed.case(*chosen)
            finally:
                beds.put(bed)

        with ThreadPoolExecutor(WORKERS) as pool:
            result.cases = list(pool.map(one, choose(list(_all_harms(steps)))))
    result.seconds = time.monotonic() - begun
    return result


class _Bed:
    """A service behind a proxy."""

    def __init__(
        self, interface: Interface, folder: Path, ledger: Ledger, stack: ExitStack, settings: dict[str, str]
    ) -> None:
        self._cluster = interface.cluster
        self._ledger = ledger
        host, port = _target(interface)
        self._proxy = stack.enter_context(fault_proxy(host, port))
        self._service = service(interface, folder, {**_through(interface, self._proxy), **settings})
        stack.callback(self._service.stop)
        self._service.start()
        self._token = bearer(self._cluster, "kirby")
        self._upstream().until_taken(self._form())

    def steps(self) -> list[Step]:
        """Those of a submission that nothing happens to."""
        self._proxy.harm(None)
        self._upstream().until_taken(self._form())  # who has just started is slow at first
        self._proxy.harm(None)
        answered, text = self._upstream().submit(self._form())
        assert answered == "200", text
        # What is read beside it comes over connections of its own, in any order.
        chunks = self._proxy.chunks
        asked = Counter(chunk.connection for chunk in chunks).most_common(1)[0][0]
        posts = [chunk.connection for chunk in chunks if chunk.data.startswith(b"POST ")]
        told = [chunk for chunk in chunks if chunk.connection == (posts or [asked])[0]]
        return [Step(chunk.way, chunk.number, _what(chunk)) for chunk in told]

    def case(self, step: Step, fault: Fault) -> Case:
        """A submission that meets this."""
        self._proxy.harm(fault)
        upstream, args = self._upstream(), self._form()
        begun = time.monotonic()
        answered, text = upstream.submit(args)
        seconds, harmed = time.monotonic() - begun, self._proxy.harmed
        self._proxy.heal()
        healed = time.monotonic()
        job_id = upstream.until_taken(args, seconds=SETTLED)
        settled = time.monotonic() - healed
        broken = list(upstream.refused)
        if answered == "no answer in time":
            broken.append(f"no answer in {CALL_SECONDS} s")
        elif answered != "200" and not re.fullmatch("5..", answered):
            broken.append(f"answered {answered} {text}")
        return Case(
            step, fault, answered, seconds, harmed, settled, "; ".join(broken + self._doubts(args, job_id))
        )

    def _doubts(self, args: dict[str, Any], job_id: str | None) -> list[str]:
        """What is wrong with the jobs of the name: one may be there, and those that gave way to it."""
        jobs = self._ledger.in_slurm().get(args["name"], [])
        live = [job.job_id for job in jobs if job.state != "CANCELLED"]
        if live == [job_id]:
            return []
        return [f"{args['name']} is {[f'{job.job_id} {job.state}' for job in jobs]}, the id given {job_id}"]

    def _form(self) -> dict[str, Any]:
        name = self._ledger.new_name("kirby")
        return form(script("echo"), name=name, held=True, bearer=self._token)

    def _upstream(self) -> Upstream:
        return Upstream([self._service.url], 0, pause=0.1)


def _all_harms(steps: Sequence[Step]) -> Iterator[tuple[Step, Fault]]:
    for step in steps:
        yield step, Fault(Harm.CUT, step.way, step.number, once=True)
        for harm in Harm:
            yield step, Fault(harm, step.way, step.number)


def _called(fault: Fault) -> str:
    return f"{fault.harm.value} once" if fault.once else fault.harm.value


def _target(interface: Interface) -> tuple[str, int]:
    if interface.name == "cli":
        return interface.cluster.info["ssh"]["host"], int(interface.cluster.info["ssh"]["port"])
    host, _, port = interface.cluster.url.removeprefix("http://").rpartition(":")
    return host, int(port)


def _through(interface: Interface, proxy: FaultProxy) -> dict[str, str]:
    if interface.name == "cli":
        return {"JARVICE_SLURM_CLUSTER_ADDR": "127.0.0.1", "JARVICE_SLURM_CLUSTER_PORT": str(proxy.port)}
    return straight_at(f"http://127.0.0.1:{proxy.port}")


def _what(chunk: Chunk) -> str:
    """What a chunk is, as far as the wire shows it."""
    data = chunk.data
    if data.startswith(b"SSH-"):
        return "banner"
    line = data.partition(b"\r\n")[0]
    if re.match(rb"(GET|POST|DELETE) |HTTP/", line):
        return re.sub(r"\?.*", "", line.decode("latin-1").removesuffix(" HTTP/1.1"))
    kind = data[5] if len(data) > 5 and int.from_bytes(data[:4]) < 4096 else 0
    if kind in _SSH_WORDS:
        return _SSH_WORDS[kind]
    return f"{len(data)} bytes"


def _run(size: int, seed: int, folder: Path) -> Several:
    """Both ways into the cluster, with the time-outs that a site has."""

    def choose(harms: list[tuple[Step, Fault]]) -> list[tuple[Step, Fault]]:
        chosen = random.Random(seed).sample(harms, min(size, len(harms)))
        return sorted(chosen, key=harms.index)

    with interfaces("cli", "http-managed") as ways:
        return Several([faults(way, folder / way.name, choose=choose) for way in ways])


ROUND = Round(
    "faults",
    "Whatever the network does at any step of a submission: an id or 5xx in time, and one job in the end.",
    200,
    "harms to connections with sshd and with slurmrestd; there may be fewer",
    _run,
    needs_cluster=True,
)
