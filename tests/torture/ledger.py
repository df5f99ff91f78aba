"""What ran, and what Slurm knows of it: every job of a round writes a line for each run of its name."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from tests.harness.cluster import Cluster
from tests.harness.forms import form, job_name, script
from tests.harness.interface import bearer
from tests.harness.waiting import eventually
from tests.torture.bed import USERS

_OVER = {"COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT", "OUT_OF_MEMORY"}


@dataclass(frozen=True)
class InSlurm:
    """A job as Slurm knows it."""

    job_id: str
    state: str
    nodes: str

    @property
    def is_over(self) -> bool:
        """Whether it waits no more, nor runs."""
        return self.state in _OVER


class Ledger:
    """A folder that every user can write to, with a file for each name. The mark is in all of its names."""

    def __init__(self, cluster: Cluster, mark: str) -> None:
        self.mark = f"{mark}{secrets.token_hex(3)}"
        self._cluster = cluster
        self._inside = f"/shared/{self.mark}"
        cluster.run("install", "--directory", "--mode=1777", self._inside)

    def new_name(self, user: str) -> str:
        """A name that no other job has."""
        return job_name(user, self.mark)

    def forms(self, number: int, *, first: int = 0) -> list[dict[str, Any]]:
        """Forms of so many new names, of three users in turn."""
        tokens = {user: bearer(self._cluster, user) for user in USERS}
        made = []
        for user in islice(cycle(USERS), first, first + number):
            name = self.new_name(user)
            made.append(form(self.script(name), user=user, name=name, bearer=tokens[user]))
        return made

    def form_that_stays(self, user: str, *, held: bool) -> dict[str, Any]:
        """A form of a job that is queued, or runs, until ``clear``."""
        token = bearer(self._cluster, user)
        return form(script("sleep 3000"), user=user, name=self.new_name(user), held=held, bearer=token)

    def script(self, name: str, then: str = "", **keys: Any) -> str:
        """What adds a line to the name's file, and does nothing else but this."""
        line = f'echo "$SLURM_JOB_ID" >>{self._inside}/{name}'
        return script(f"{line}; {then}\necho JARVICE_CMD_SUCCESS", **keys)

    def runs(self) -> dict[str, list[str]]:
        """The ids of all runs of each name that ran."""
        folder = Path(self._cluster.info["shared"], self.mark)
        return {file.name: file.read_text(encoding="ascii").split() for file in folder.iterdir()}

    def in_slurm(self) -> dict[str, list[InSlurm]]:
        """Every job of each name: as slurmctld says, or slurmdbd where it has forgotten."""
        queue = ("squeue", "--noheader", "--all", "--states=all", "--format=%A|%T|%N|%j")
        account = (
            "sacct", "--allusers", "--allocations", "--noheader", "--parsable2", "--starttime=now-4hours",
            "--format=JobIDRaw,State,NodeList,JobName",
        )  # fmt: skip
        found: dict[str, dict[str, InSlurm]] = defaultdict(dict)
        for words in (account, queue):
            for line in self._cluster.run(*words).splitlines():
                job_id, state, nodes, name = line.split("|", 3)
                if f"-{self.mark}-" in name:
                    short = name.removeprefix("jarvice_")
                    found[short][job_id] = InSlurm(job_id, state.split()[0], nodes)
        return {name: list(jobs.values()) for name, jobs in found.items()}

    def until_over(
        self, stay: Mapping[str, str], meanwhile: Callable[[], None] = lambda: None
    ) -> dict[str, list[InSlurm]]:
        """Every job of each name but of those that stay, once Slurm has no more to do for any of them."""

        def over() -> dict[str, list[InSlurm]] | None:
            meanwhile()
            jobs = {name: jobs for name, jobs in self.in_slurm().items() if name not in stay}
            return jobs if all(job.is_over for of_name in jobs.values() for job in of_name) else None

        return eventually(over, seconds=300, what="the end of all jobs", pause=2)

    def clear(self) -> None:
        """End what is left of the jobs, and remove the folder."""
        live = [job.job_id for jobs in self.in_slurm().values() for job in jobs if not job.is_over]
        if live:
            self._cluster.run("scancel", *live)
        self._cluster.run("rm", "--recursive", "--force", self._inside)
