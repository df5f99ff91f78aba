"""The ways in which jobs go to the throwaway cluster, and where each leaves a job's files."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.cluster import PORTAL_USERS, Cluster
from tests.harness.slurmrestd import at, straight_at, token

SHARED = "/shared"
SCRATCH = f"{SHARED}/portal-{secrets.token_hex(4)}"
"""Where the entry user can read jobs' output: on this cluster it may not enter users' home folders.

One for each run of the tests, since the entry user cannot remove what jobs leave there.
"""


@dataclass(frozen=True)
class Interface:
    """One way, with the settings that choose it."""

    name: str
    cluster: Cluster
    settings: dict[str, str] = field(repr=False)
    scratch: str = ""
    """The folder for jobs' files; empty is the owner's home folder."""

    @property
    def shows_output(self) -> bool:
        """Whether the downstream gets at a job's files at all."""
        return self.name != "http-managed"

    @property
    def removes_files(self) -> bool:
        """Whether they are removed after the exit status was given."""
        return self.name != "http-managed"

    def write_mapping(self, folder: Path) -> None:
        """Make the users id mapping in the folder of a service, if it needs one."""
        if self.name == "cli":
            self.cluster.write_mapping(folder)

    def control(self, name: str, user: str = "kirby") -> str:
        """A job's control folder, as the nodes see it."""
        return f"{self.scratch or f'/home/{user}'}/.jarvice/control/{name}"

    def files(self, user: str, name: str) -> list[Path]:
        """What a user has of a job in there, as this machine sees it."""
        home = self.cluster.home(user)
        folder = Path(self.cluster.info["shared"], self.scratch[len(SHARED) + 1 :]) if self.scratch else home
        theirs = home.stat().st_uid
        return [file for file in folder.glob(f".jarvice/**/*{name}*") if file.stat().st_uid == theirs]


def cli(cluster: Cluster) -> Interface:
    """sbatch, as the mapped user over SSH."""
    return Interface("cli", cluster, cluster.settings())


def http(cluster: Cluster) -> Interface:
    """slurmrestd through the entry user's SSH connection, and Slurm's commands over the same."""
    settings = {
        **cluster.settings(),
        "JARVICE_SLURM_INTERFACE": "http",
        **at(cluster.inside_url),
        "JARVICE_JOB_SCRATCH_DIR": SCRATCH,
    }
    _make_scratch(cluster)
    return Interface("http", cluster, settings, SCRATCH)


def http_managed(cluster: Cluster) -> Interface:
    """slurmrestd for everything, and no SSH."""
    settings = {
        "JARVICE_SLURM_INTERFACE": "http",
        **straight_at(cluster.url),
        "JARVICE_SLURM_SERVICE_TOKEN": cluster.token("jarvice", 24 * 3600),
        "JARVICE_SLURM_USER_HOME": "/home/%u",
        "JARVICE_JOB_SCRATCH_DIR": SCRATCH,
    }
    _make_scratch(cluster)
    return Interface("http-managed", cluster, settings, SCRATCH)


INTERFACES: dict[str, Callable[[Cluster], Interface]] = {
    "cli": cli,
    "http": http,
    "http-managed": http_managed,
}


def bearer(cluster: Cluster, portal_user: str, **more: Any) -> str:
    """A token of this user that Slurm takes; it serves the cli interface, which reads its mail, as well."""
    claims = {
        "sun": PORTAL_USERS.get(portal_user, portal_user),
        "email": f"{portal_user}@example.com",
        **more,
    }
    return token(cluster, lifetime=3600, **claims)


def _make_scratch(cluster: Cluster) -> None:
    """As the site guide has it: every user can write there, and the entry user can read and remove it all."""
    folders = [f"{SCRATCH}/.jarvice{part}" for part in ("", "/control", "/jobs")]
    cluster.run("install", "--directory", "--mode=1777", "--owner=jarvice", *folders)
    cluster.run("setfacl", "--default", "--modify", "u::rwx,g::---,o::---,u:jarvice:rwx", *folders)
