"""The throwaway cluster with services on it, each started when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.service import Service

USERS = ("kirby", "mario", "dovahkiin")
PREFIX = "bench_"
HELD = script("echo never runs")

_QUIET = {
    "JARVICE_SCHED_LOGLEVEL": "WARNING",
    "JARVICE_DOWNSTREAM_REQUEST_RATE": "0",
    "JARVICE_DOWNSTREAM_POLL_INTERVAL": "5",
    "JARVICE_DOWNSTREAM_JOB_NAME_PREFIX": PREFIX,
}


class Bed:
    """What the measurements run on. Jobs are sent held, so that scheduling is not measured with them."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self._folder = folder
        self._services: list[Service] = []

    @cached_property
    def cli(self) -> Service:
        """A service that submits with sbatch."""
        return self.service("cli")

    @cached_property
    def http(self) -> Service:
        """A service that submits through slurmrestd, by the default route: the entry user's connection."""
        return self.service(
            "http",
            JARVICE_SLURM_INTERFACE="http",
            JARVICE_SLURMRESTD_ADDR=self._address(self.cluster.inside_url),
        )

    @cached_property
    def managed(self) -> Service:
        """A service without any SSH, that asks for all jobs as often as it can."""
        return self.service(
            "managed",
            JARVICE_SLURM_INTERFACE="http",
            JARVICE_SLURMRESTD_ADDR=self._address(self.cluster.url),
            JARVICE_SLURMRESTD_PORT=self.cluster.url.rpartition(":")[2],
            JARVICE_SLURMRESTD_ROUTE="direct",
            JARVICE_SLURM_SERVICE_TOKEN=self.cluster.token("jarvice", 36000),
            JARVICE_SLURM_USER_HOME="/home/%u",
            JARVICE_DOWNSTREAM_POLL_INTERVAL="0.1",
        )

    @cached_property
    def tokens(self) -> dict[str, str]:
        """A bearer token of each user that slurmrestd takes."""
        return {user: self.cluster.token(user, 36000) for user in USERS}

    def held(self, user: str = "kirby", *, token: bool = False) -> dict[str, Any]:
        """A form of a held job; with a token that slurmrestd takes, or one that names the mapped user."""
        made = form(HELD, user=user, held=True)
        return made | {"bearer": self.tokens[user]} if token else made

    def service(self, name: str, **settings: str) -> Service:
        """A service with settings of its own."""
        folder = self._folder / name
        folder.mkdir()
        self.cluster.write_mapping(folder)
        service = Service(folder, self.cluster.settings() | _QUIET | settings).start()
        self._services.append(service)
        return service

    def close(self) -> None:
        """End the services, and cancel what was submitted, and nothing else."""
        for service in self._services:
            service.stop()
        listed = self.cluster.run("squeue", "--noheader", "--states=PENDING", "--format=%A %j").splitlines()
        ours = [line.split()[0] for line in listed if line.split()[1].startswith(PREFIX)]
        for at in range(0, len(ours), 500):
            self.cluster.run("scancel", *ours[at : at + 500])

    @staticmethod
    def _address(url: str) -> str:
        return url.rpartition(":")[0]


def for_each_thread(make: Callable[[], Any]) -> Callable[[], Any]:
    """Gives each thread a thing of its own, made when it first asks."""
    local = threading.local()

    def get() -> Any:
        if not hasattr(local, "thing"):
            local.thing = make()
        return local.thing

    return get
