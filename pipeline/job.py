"""A job and what is known of it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

OUTPUT_LINES = 10_000
"""Lines of a job's output that go back to the upstream with its exit status."""


@dataclass(frozen=True)
class Credentials:
    """A registry login. Empty strings: none."""

    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Image:
    """A container image, ``registry/path:tag`` without a scheme, and the login that pulls it."""

    reference: str
    credentials: Credentials = Credentials()


@dataclass(frozen=True)
class Resources:
    """What a job asks of Slurm. Sizes are for each node; zero and empty mean: not asked for."""

    nodes: int
    cores: int
    memory_gb: int = 0
    gpus: int = 0
    walltime: str = ""
    """``HH:MM:SS``"""
    licenses: str = ""
    """``feat:2,feat3:1``"""
    partition: str = ""
    exclusive: bool = True
    sbatch_options: Mapping[str, str | bool] = field(default_factory=dict)
    """Long option name to value; True is a bare option."""


@dataclass(frozen=True)
class Job:
    """One job as the upstream wants it, checked. The name is its identity."""

    name: str
    number: int
    resources: Resources
    script: str = field(repr=False)
    """The upstream's script as sent: a format template with one field."""
    app_image: Image
    init_image: Image
    app_in_global_registries: bool
    overlay_mb: int
    """Size of a node's overlay; 0 is a writable tmpfs."""
    command: str = ""
    application: str = ""
    user: str = ""
    """The JARVICE user, who is not the cluster's user."""
    architecture: str = "amd64"
    appdef_version: int = 2
    held: bool = False
    bearer: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Every text that must never be shown, wherever it turns up."""


@dataclass(frozen=True)
class JobRef:
    """How the upstream speaks of a job that it has submitted."""

    name: str
    number: int
    job_id: str

    def path(self) -> str:
        """The job's part of a ``/request`` path."""
        return f"{self.name}/{self.number}/{self.job_id}"


class Phase(Enum):
    """Where a job is, as the upstream distinguishes it."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class JobStatus:
    """What the cluster says of a job."""

    name: str
    job_id: str
    owner: str
    """The cluster's user."""
    state: str
    """Slurm's own word: ``PENDING``, ``OUT_OF_MEMORY``..."""
    phase: Phase
    elapsed: int = 0
    """Seconds."""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobFiles:
    """Where a job's files are on the cluster: absolute, or relative to its owner's home folder."""

    scratch: str
    """The scratch folder, which ends in a slash or is empty."""
    name: str

    @property
    def output(self) -> str:
        """The job's output: every task's stdout and stderr."""
        return f"{self.scratch}.jarvice/{self.name}.out"

    @property
    def control(self) -> str:
        """The control folder: the claim of the name, the scripts, the exit record."""
        return f"{self.scratch}.jarvice/control/{self.name}"

    def made_by_script(self, job_id: str) -> str:
        """The folder that the upstream's script makes for itself."""
        return f"{self.scratch}.jarvice/jobs/{job_id}"
