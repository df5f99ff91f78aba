"""Folders of jobs are full, read-only or gone: nothing runs twice, and a person is told why it failed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.harness.forms import form
from tests.harness.interface import Interface, bearer
from tests.harness.service import Service
from tests.harness.waiting import eventually
from tests.torture.bed import Several, interfaces, service
from tests.torture.ledger import Ledger
from tests.torture.rounds import Round
from tests.torture.upstream import Upstream

NODE = "n1"
"""Where jobs of this round run."""


@dataclass
class Seen:
    """What a person saw of one of them."""

    what: str
    told: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures, for people."""
        return [self.what, *(f"  {line}" for line in self.told)]

    def expect(self, holds: bool, what: str) -> None:
        """A promise."""
        if not holds:
            self.broken.append(f"{self.what}: {what}")


class Bed:
    """A service whose jobs have a small folder of their own on the head, and another on a node."""

    def __init__(self, interface: Interface, folder: Path, ledger: Ledger) -> None:
        self.cluster = interface.cluster
        self.interface = interface
        self.ledger = ledger
        self.small = f"/mnt/{ledger.mark}"
        self.service: Service = service(interface, folder, {"JARVICE_JOB_SCRATCH_DIR": self.small})
        self.ordinary: Service = service(interface, folder.with_name(f"{folder.name}-ordinary"))

    @contextmanager
    def mounted(self, harm: str) -> Iterator[Callable[[str, bool], None]]:
        """Gives what does this harm to the small folder of a node, or heals it."""
        folder = self.small
        for node in ("head", NODE):
            self.cluster.run("mkdir", "--parents", folder, node=node)
            self.cluster.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "tmpfs", folder, node=node)
            parts = [f"{folder}/.jarvice", f"{folder}/.jarvice/control", f"{folder}/.jarvice/jobs"]
            self.cluster.run("install", "--directory", "--mode=1777", *parts, node=node)

        def change(node: str, broken: bool) -> None:
            if harm == "full" and broken:
                self.cluster.run("sh", "-c", f"cat /dev/zero >{folder}/filler 2>/dev/null; true", node=node)
            elif harm == "full":
                self.cluster.run("rm", "--force", f"{folder}/filler", node=node)
            else:
                mode = "ro" if broken else "rw"
                self.cluster.run("mount", "-o", f"remount,{mode}", folder, node=node)

        try:
            yield change
        finally:
            for node in ("head", NODE):
                self.cluster.run("umount", "--lazy", folder, node=node)

    def form(self, then: str = "", **fields: Any) -> dict[str, Any]:
        """A form of a new name, whose job writes down that it ran."""
        name = self.ledger.new_name("kirby")
        text = self.ledger.script(name, then, devices=["exclusive=False", f"sbatch_nodelist={NODE}"])
        return form(text, name=name, bearer=bearer(self.cluster, "kirby"), **fields)

    def live(self, name: str) -> list[str]:
        """Ids of the jobs of a name that were not cancelled."""
        jobs = self.ledger.in_slurm().get(name, [])
        return [job.job_id for job in jobs if job.state != "CANCELLED"]


def when_it_is_sent(bed: Bed, harm: str) -> Seen:
    """The head cannot write where the job's claim belongs."""
    seen = Seen(f"{bed.interface.name}, scratch {harm} when a job is sent")
    args = bed.form(held=True)
    upstream = Upstream([bed.service.url], 0)
    with bed.mounted(harm) as change:
        change("head", True)
        answered, text = upstream.submit(args)
        seen.told.append(f"{answered} {text}")
        change("head", False)
        begun = time.monotonic()
        job_id = upstream.until_taken(args)
        seen.told.append(f"an id {time.monotonic() - begun:.1f} s after it was mended")
        if bed.interface.name == "cli":  # through slurmrestd nothing is written when a job is sent
            reason = "No space left" if harm == "full" else "Read-only file system"
            seen.expect(
                answered.startswith("5") and reason in text, f"{answered} {text} does not say {reason}"
            )
        seen.expect(bed.live(args["name"]) == [job_id], f"{bed.live(args['name'])}, given {job_id}")
    return seen


def when_it_runs(bed: Bed, harm: str) -> Seen:
    """The node cannot write where the job's files belong."""
    seen = Seen(f"{bed.interface.name}, scratch {harm} when a job starts")
    with bed.mounted(harm) as change:
        args = bed.form(held=True)
        job = bed.service.submit(args)
        change(NODE, True)
        bed.service.post("/release", job.ref)
        ended = bed.service.exit_of(job, seconds=120)
        seen.told.append(f"exit status {ended.code}, {ended.termination}, output {ended.output[-200:]!r}")
        seen.expect(ended.code != 0, "it failed, and was told as done")
        ran = bed.ledger.runs().get(args["name"], [])
        seen.expect(len(ran) <= 1, f"it ran as {ran}")
        seen.expect(bed.live(args["name"]) == [job.job_id], f"jobs {bed.live(args['name'])}")
        change(NODE, False)
    return seen


def without_folder(bed: Bed, *, running: bool) -> Seen:
    """The control folder is removed while the job waits or runs, and its name is sent again."""
    when = "runs" if running else "waits"
    seen = Seen(f"{bed.interface.name}, control folder removed while the job {when}")
    go = f"/shared/{bed.ledger.mark}-go-{secrets.token_hex(3)}"
    args = bed.form(f"until [ -e {go} ]; do sleep 0.1; done", held=not running)
    job = bed.ordinary.submit(args)
    if running:
        eventually(lambda: bed.ledger.runs().get(args["name"]), what="the job's start")
    control = bed.interface.control(args["name"])
    bed.cluster.run("rm", "--recursive", "--force", control)
    upstream = Upstream([bed.ordinary.url], 0)
    answered, text = upstream.submit(args)
    seen.told.append(f"sent again: {answered} {text}, the job is {job.job_id}")
    # Without its claim the name is sent again, and the later job gives way: what counts are the runs.
    seen.expect(answered == "200" or answered.startswith("5"), seen.told[-1])
    jobs = bed.live(args["name"])
    if running:
        eventually(partial(_settled, bed, args["name"], job.job_id), what="the end of the other job", pause=1)
    else:
        for job_id in jobs:
            bed.cluster.run("scontrol", "release", job_id)
    bed.cluster.run("touch", go)
    ended = bed.ordinary.exit_of(job, seconds=120)
    seen.told.append(f"exit status {ended.code}, {ended.termination}, output {ended.output[-200:]!r}")
    eventually(partial(_over, bed, args["name"]), what="the end of all jobs of the name", pause=1)
    ran = bed.ledger.runs().get(args["name"], [])
    seen.expect(ran == [job.job_id], f"{args['name']} ran as {ran}; {job.job_id} was sent first; jobs {jobs}")
    seen.told.append(f"jobs of the name {len(jobs)}, runs {len(ran)}")
    bed.cluster.run("rm", go)
    return seen


def folders(interface: Interface, folder: Path) -> Several:
    """Each of them in turn."""
    ledger = Ledger(interface.cluster, "folders")
    bed = Bed(interface, folder, ledger)
    try:
        bed.service.start()
        bed.ordinary.start()
        seen = [case(bed, harm) for harm in ("full", "read-only") for case in (when_it_is_sent, when_it_runs)]
        return Several([*seen, without_folder(bed, running=False), without_folder(bed, running=True)])
    finally:
        bed.service.stop()
        bed.ordinary.stop()
        ledger.clear()


def _over(bed: Bed, name: str) -> bool:
    return all(job.is_over for job in bed.ledger.in_slurm().get(name, []))


def _settled(bed: Bed, name: str, first: str) -> bool:
    """Whether all jobs of a name but the first have given way to it, or one of them has run."""
    others = [job for job in bed.ledger.in_slurm().get(name, []) if job.job_id != first]
    return all(job.is_over for job in others) or len(bed.ledger.runs()[name]) > 1


def _run(size: int, seed: int, folder: Path) -> Several:
    """Through either interface."""
    with interfaces("cli", "http") as ways:
        return Several([folders(way, folder / way.name) for way in ways])


ROUND = Round(
    "folders",
    "A scratch folder that is full or read-only, and a control folder that is gone, cost no second run.",
    1,
    "time each",
    _run,
    needs_cluster=True,
)
