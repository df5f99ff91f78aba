"""Native jobs on the throwaway cluster, from spec to end, without the command line."""

from __future__ import annotations

import itertools
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline import settings
from pipeline.connectors import Connector, connector_for
from pipeline.identity import Owner
from pipeline.job import JobStatus, Phase
from pipeline.prepare import Preparer
from tests.harness.cluster import Cluster
from tests.harness.interface import Interface
from tests.harness.waiting import eventually

REGISTRY = "head:5443"
BUSYBOX = f"{REGISTRY}/nintendo/busybox:1"

_counter = itertools.count(1)


@dataclass(frozen=True)
class Sent:
    """A native job that the cluster took."""

    name: str
    job_id: str
    control: str
    """Its control folder, as the nodes see it."""
    output: str
    """The file of its output, likewise."""


@dataclass(frozen=True)
class Ended:
    """How it ended: Slurm's state, the batch script's exit code, all output."""

    state: str
    code: int
    output: str


class Containers:
    """Submits native jobs through one interface. Users log in with what the cluster's harness has."""

    def __init__(self, cluster: Cluster, interface: Interface, folder: Path, **changed: str) -> None:
        self.cluster = cluster
        self.interface = interface
        interface.write_mapping(folder)
        self.settings = settings.load(
            {
                **interface.settings,
                "JARVICE_USERS_ID_MAPPING": str(folder / "users_id_mapping_configuration.yaml"),
                "JARVICE_DOWNSTREAM_STATE_DIR": str(folder / "state"),
                "JARVICE_DOWNSTREAM_REGISTRY_LOGINS": str(_logins(cluster, folder)),
                **changed,
            }
        )
        self.settings.state_dir.mkdir(exist_ok=True)
        self._connector: Connector = connector_for(self.settings.for_native_jobs())

    def close(self) -> None:
        """Let go of the cluster."""
        self._connector.close()

    def submit(self, *command: str, **spec: Any) -> Sent:
        """Submit kirby's job of the busybox image, or as the spec says."""
        whole = {
            "name": f"test-{secrets.token_hex(4)}-{next(_counter)}",
            "user": "kirby",
            "image": BUSYBOX,
            "credentials": "lab",
            "overlay_mb": 0,
            "walltime": "00:05:00",
            **({"command": list(command)} if command else {}),
            **spec,
        }
        job_spec = {field: value for field, value in whole.items() if value is not None}
        preparer = Preparer(self.settings)
        batch = preparer.render(preparer.check_spec(job_spec))
        user = job_spec["user"]
        owner = Owner(user, private_key=self.cluster.key(user), token=self.cluster.token(user))
        job_id = self._connector.submission.submit(batch, owner).job_id
        control, output = (
            str(Path("/home", user, file)) for file in (batch.files.control, batch.files.output)
        )
        return Sent(batch.name, job_id, control, output)

    def status(self, job: Sent) -> JobStatus | None:
        """What the connector says of the job now."""
        return next((one for one in self._connector.management.jobs() if one.job_id == job.job_id), None)

    def output(self, job: Sent) -> str:
        """All that the job has put out; as root, for the entry user may not see it."""
        return self.cluster.run("bash", "-c", 'cat "$0" 2>/dev/null || true', job.output)

    def await_output(self, job: Sent, text: str) -> JobStatus:
        """Return when the job has put this out, with what is known of it then."""
        eventually(lambda: text in self.output(job), what=f"{text!r} in the output of {job.name}")
        status = self.status(job)
        assert status
        return status

    def terminate(self, job: Sent) -> None:
        """End it as the portal and the command line do."""
        self._connector.management.terminate(job.job_id)

    def end_of(self, job: Sent, *, seconds: float = 90) -> Ended:
        """How it ended, asked until it has."""

        def ended() -> JobStatus | None:
            status = self.status(job)
            return status if status and status.phase is Phase.ENDED else None

        status = eventually(ended, seconds=seconds, what=f"the end of {job.name}", pause=0.2)
        shown = self.cluster.run("scontrol", "show", "job", job.job_id)
        found = re.search(r"\bExitCode=(\d+):(\d+)", shown)
        assert found, shown
        return Ended(status.state, int(found[1]), self.output(job))

    def run(self, *command: str, **spec: Any) -> Ended:
        """Submit a job and wait for its end."""
        return self.end_of(self.submit(*command, **spec))


def _logins(cluster: Cluster, folder: Path) -> Path:
    registry = cluster.info["registry"]
    right = {"registry": REGISTRY, "username": registry["user"], "password": registry["password"]}
    path = folder / "registry_logins.yaml"
    path.touch(mode=0o600)
    logins = {"lab": right, "wrong": {**right, "password": "not-the-password"}}
    path.write_text(yaml.safe_dump({"registry_logins": logins}), encoding="utf-8")
    return path
