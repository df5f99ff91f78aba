"""A job and what is known of it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

OUTPUT_LINES = 10_000
"""Lines of a job's output that go back to the upstream with its exit status."""


@dataclass(frozen=True)
class Credentials:
    """A registry login. Empty strings: none."""

    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Image:
    """A container image, ``registry/path:tag`` without a scheme, and the login that pulls it.

    A reference that starts with a slash is a file on the cluster and is not pulled.
    """

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
class UpstreamScript:
    """What the upstream's jobs run: a script of its own, which does all that containers need."""

    text: str = field(repr=False)
    """As sent: a format template with one field."""
    app_image: Image
    init_image: Image
    app_in_global_registries: bool
    command: str = ""
    application: str = ""
    appdef_version: int = 2


@dataclass(frozen=True)
class Mount:
    """A folder or file of the node that a container sees. Absolute paths."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Container:
    """What native jobs run: one command in a container, which our own templates start."""

    image: Image
    command: tuple[str, ...] = ()
    """An argument list that arrives unchanged; after a script, its arguments."""
    script: str = field(default="", repr=False)
    """A script that is run in the container; empty: the command is run."""
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    working_dir: str = ""
    """Absolute; empty is where Singularity starts a command."""
    pull: str = "always"
    """``always`` asks the registry whether the tag still has the cached digest; ``missing`` does not."""
    image_in_global_registries: bool = False
    mpi: str = ""
    """A type of ``srun --mpi``: every rank runs the command. Empty: the first task does, alone."""
    ranks_per_node: int = 1


@dataclass(frozen=True)
class Job:
    """One job, checked. The name is its identity."""

    name: str
    number: int
    """The upstream's; 0 for a native job."""
    resources: Resources
    work: UpstreamScript | Container
    overlay_mb: int
    """Size of a node's overlay; 0 is a writable tmpfs."""
    user: str = ""
    """The JARVICE user, who is not the cluster's user; of a native job it is the cluster's user."""
    architecture: str = "amd64"
    held: bool = False
    digest: str = ""
    """Of what the caller asks for, without tokens and logins: one job sent again has the same, another job of
    its name has not."""
    bearer: str = field(default="", repr=False)
    """The upstream's token; a native job has none."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Every text that must never be shown, wherever it turns up."""

    @property
    def is_native(self) -> bool:
        """Whether it came as a native spec and not from the upstream."""
        return isinstance(self.work, Container)


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
    exit_code: int | None = None
    """The batch script's own, 128 and the signal's number if one killed it. None: it has none, or nobody
    has said it yet."""
    reason: str = ""
    """Why it is ``PENDING``, as Slurm says: ``JobHeldUser``... Empty: it is not, or nobody has said it."""
    digest: str = ""
    """As ``Job.digest``, of a job that came through slurmrestd. Empty: nobody has said it."""


class Piece(NamedTuple):
    """A part of a job's output."""

    data: bytes
    size: int
    """Bytes that the output had in all when it was read."""


class Sent(NamedTuple):
    """A job that was given to Slurm."""

    job_id: str
    is_new: bool = True
    """Not so if its name was sent before: the job is the one of that time."""


@dataclass(frozen=True)
class JobFiles:
    """Where a job's files are on the cluster: absolute, or relative to its owner's home folder."""

    scratch: str
    """The scratch folder, which ends in a slash or is empty."""
    name: str
    user: str = ""
    """The cluster's user of a native job, whose name is one of this user's; empty for the portal's jobs."""

    @property
    def output(self) -> str:
        """The job's output: every task's stdout and stderr."""
        return f"{self.scratch}.jarvice/{self._called}.out"

    @property
    def control(self) -> str:
        """The control folder: the claim of the name, the scripts, the exit record."""
        return f"{self.scratch}.jarvice/control/{self._called}"

    def made_by_script(self, job_id: str) -> str:
        """The folder that the upstream's script makes for itself."""
        return f"{self.scratch}.jarvice/jobs/{job_id}"

    @property
    def _called(self) -> str:
        return f"{self.user}+{self.name}" if self.user else self.name
