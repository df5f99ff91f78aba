"""The throwaway cluster as tests use it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

COMMAND = Path(__file__).parents[1] / "cluster" / "cluster"
NOT_FIT = 3
"""The command's exit code where this machine cannot hold a cluster."""

PORTAL_USERS = {
    "kirby": "kirby",
    "mario": "mario",
    "dovahkiin": "dovahkiin",
    "x-doe": "kirby",
    "y-doe": "mario",
}
"""Users of the portal, and who each of them is on the cluster."""

_ACCESS = re.compile(r'^\S+ - - \[[^]]*\] "([A-Z]+) (\S+) HTTP/[0-9.]+" ([0-9]+) ', re.MULTILINE)
"""A line of the registry's access log; other lines of its output are its own messages."""


class ClusterNotFit(Exception):
    """This machine cannot hold a cluster; says why."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    variant: str
    info: dict[str, Any]

    @classmethod
    def start(cls, variant: str) -> Cluster:
        """Start it, or find it running. Raises ClusterNotFit."""
        done = subprocess.run([COMMAND, "start", variant], capture_output=True, text=True, check=False)
        if done.returncode == NOT_FIT:
            raise ClusterNotFit(done.stderr.strip().splitlines()[-1])
        assert done.returncode == 0, done.stderr[-4000:]
        info = subprocess.run([COMMAND, "info", variant], capture_output=True, text=True, check=True)
        return cls(variant, json.loads(info.stdout))

    @property
    def url(self) -> str:
        """slurmrestd's, as this machine sees it."""
        return str(self.info["slurmrestd"]["url"])

    @property
    def inside_url(self) -> str:
        """slurmrestd's, as the nodes see it."""
        return str(self.info["slurmrestd"]["inside_url"])

    @property
    def api_versions(self) -> list[str]:
        """The versions of its API that slurmrestd speaks, oldest first."""
        return list(self.info["slurmrestd"]["api_versions"])

    def token(self, user: str, seconds: int = 3600) -> str:
        """A token that Slurm itself made for a user."""
        return self._command("token", user, str(seconds)).strip()

    @property
    def user_claim(self) -> str:
        """Where Slurm looks for the user in an identity provider's token; 22.05 cannot be told another."""
        return "sun" if self.variant == "bookworm" else "preferred_username"

    @contextmanager
    def taking_tokens_of(self, jwks: Mapping[str, object]) -> Iterator[None]:
        """Slurm takes tokens signed with these keys too. Restarts slurmdbd and slurmctld, also at the end."""
        with NamedTemporaryFile("w", encoding="ascii") as file:
            json.dump(jwks, file)
            file.flush()
            self._command("jwks", file.name)
        try:
            yield
        finally:
            self._command("jwks", "off")

    def memory(self, daemon: str) -> int:
        """Resident bytes of a daemon of the head."""
        return 1024 * int(self.run("ps", "--no-headers", "-o", "rss", "-C", daemon))

    def run(self, *words: str, node: str = "head") -> str:
        """Run a command as root in a node; it must succeed."""
        return self._command("exec", node, *words)

    def daemon(self, name: str, action: str, node: str = "head") -> None:
        """start, stop, kill, freeze, thaw or restart a daemon."""
        self._command("daemon", node, name, action)

    def home(self, user: str) -> Path:
        """A user's home folder, as this machine sees it."""
        return Path(self.info["homes"]) / user

    def files(self, user: str, name: str) -> list[Path]:
        """What a user's home folder holds of a job."""
        return list(self.home(user).glob(f".jarvice/**/*{name}*"))

    def jobs(self, name: str) -> list[tuple[str, str]]:
        """Id and user of every job whose name holds this, as slurmctld knows them."""
        rows = self.run("squeue", "--noheader", "--all", "--states=all", "--format=%A|%u|%j").splitlines()
        return [(row.split("|")[0], row.split("|")[1]) for row in rows if name in row]

    def registry_requests(self) -> list[tuple[str, str, int]]:
        """Method, path and status of every request that the registry has answered, oldest first.

        Both doors are in here, plain and TLS. A reply below 400 means reguser: nobody else gets one. A blob
        that was cut short counts as 200. What reads the log at once may come before the last line.
        """
        log = (Path(self.info["logs"]) / "head" / "registry.out").read_text(encoding="utf-8")
        return [(method, path, int(status)) for method, path, status in _ACCESS.findall(log)]

    @property
    def mpi_type(self) -> str:
        """What srun's --mpi must be for the image nintendo/mpi:1. Its mpi-hello names each rank and host."""
        return str(self.info["mpi_type"])

    def push_image(self, name: str, tag: str, extra: Mapping[str, bytes]) -> str:
        """Push the busybox image with more files as ``name:tag`` and return its digest.

        A tag that is there already moves. The same files give the same digest.
        """
        image = BytesIO(self._output_of("exec", "head", "python3", "/opt/cluster/busybox_image.py"))
        with tarfile.open(fileobj=image, mode="a") as tar:
            for path, data in extra.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                tar.addfile(entry, BytesIO(data))
        return self._output_of("push", f"{name}:{tag}", given=image.getvalue()).decode().strip()

    def key(self, user: str) -> str:
        """A user's private key."""
        return (Path(self.info["keys"]) / user).read_text(encoding="ascii")

    def settings(self) -> dict[str, str]:
        """The variables of a start script for this cluster."""
        return {
            "JARVICE_SLURM_CLUSTER_ADDR": self.info["ssh"]["host"],
            "JARVICE_SLURM_CLUSTER_PORT": str(self.info["ssh"]["port"]),
            "JARVICE_SLURM_SSH_USER": "jarvice",
            "JARVICE_SLURM_SSH_PKEY": self.key("jarvice"),
        }

    def _command(self, name: str, *words: str) -> str:
        return self._output_of(name, *words).decode()

    def _output_of(self, name: str, *words: str, given: bytes = b"") -> bytes:
        done = subprocess.run(
            [COMMAND, name, self.variant, *words], input=given, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{name} {words}: {done.stderr.decode(errors='replace')}"
        return done.stdout

    def write_mapping(self, folder: Path, users: Mapping[str, str] = PORTAL_USERS) -> None:
        """A users id mapping in which ``<portal user>@example.com`` is that user of the cluster."""
        entries = [
            {
                "user": portal_user.title(),
                "jarvice_user": portal_user,
                "mail": f"{portal_user}@example.com",
                "mapped_user": user,
                "ssh_private_key_b64": b64encode(self.key(user).encode()).decode(),
            }
            for portal_user, user in users.items()
        ]
        path = folder / "users_id_mapping_configuration.yaml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump({"users_id_mapping": entries}), encoding="ascii")


def is_ci() -> bool:
    """Whether leaving something out is a failure."""
    return os.environ.get("CI") == "true"
