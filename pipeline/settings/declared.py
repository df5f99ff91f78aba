"""Every setting, declared once: its variable, kind, default and meaning.

``config/defaults.yaml``, ``schemas/settings.schema.json`` and the checks at the start all come
from here. A setting's key in a YAML file is its attribute's name. After a change::

    jarvice-downstream settings > config/defaults.yaml
    jarvice-downstream settings --schema > schemas/settings.schema.json

and ``docs/site-setup.md`` has a row for each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.settings import kinds
from pipeline.settings.kinds import Kind
from pipeline.settings.token import Token, TokenFile


@dataclass(frozen=True)
class Declaration:
    """What is known of one setting besides its value."""

    variable: str
    kind: Kind
    default: Any
    """As a person would write it; ``kind.read`` makes the value of it."""
    meaning: str
    group: str
    secret: bool = False


def _setting(
    variable: str, kind: Kind, default: Any, meaning: str, *, group: str, secret: bool = False
) -> Any:
    declaration = Declaration(variable, kind, default, meaning, group, secret)
    return field(default=kind.read(default), repr=not secret, metadata={"declaration": declaration})


_SERVICE = "The service"
_POLLS = "Polls and limits"
_TEMPLATES = "Templates"
_IMAGES = "Registries and images"
_JOBS = "What every job gets"
_SLURM = "The Slurm cluster"
_SLURMRESTD = "slurmrestd"
_LOCAL = "The local connector"


@dataclass(frozen=True)
class Settings:
    """The settings of one downstream. Times are seconds."""

    connector: str = _setting(
        "JARVICE_BAREMETAL_CONNECTOR",
        kinds.choice("slurm", "local", aliases={"connectors.slurm.connector": "slurm"}),
        "slurm",
        "Where jobs go: slurm, or local for a first try on this machine.",
        group=_SERVICE,
    )
    loglevel: int = _setting(
        "JARVICE_SCHED_LOGLEVEL",
        kinds.LOGLEVEL,
        "INFO",
        "What is logged, as a number or a name.",
        group=_SERVICE,
    )
    server_key: str = _setting(
        "JARVICE_SCHED_SERVER_KEY",
        kinds.LOGIN,
        "",
        "<user>:<password> that the upstream sends by HTTP Basic; empty asks for none.",
        group=_SERVICE,
        secret=True,
    )
    bind_address: str = _setting(
        "WAITRESS_BIND_ADDRESS",
        kinds.TEXT,
        "127.0.0.1",
        "The address that the service listens on.",
        group=_SERVICE,
    )
    port: int = _setting(
        "WAITRESS_PORT",
        kinds.integer(0, 65535),
        5000,
        "The port that the service listens on.",
        group=_SERVICE,
    )
    http_threads: int = _setting(
        "JARVICE_DOWNSTREAM_HTTP_THREADS",
        kinds.integer(1, 256),
        16,
        "Requests that are worked on at the same time.",
        group=_SERVICE,
    )
    state_dir: Path = _setting(
        "JARVICE_DOWNSTREAM_STATE_DIR",
        kinds.PATH,
        "state",
        "Folder for remembered host keys and the local connector's jobs; holds no job state of a cluster.",
        group=_SERVICE,
    )
    users_id_mapping: Path = _setting(
        "JARVICE_USERS_ID_MAPPING",
        kinds.PATH,
        "users_id_mapping_configuration.yaml",
        "The file that maps upstream users to cluster users.",
        group=_SERVICE,
    )

    poll_interval: float = _setting(
        "JARVICE_DOWNSTREAM_POLL_INTERVAL",
        kinds.seconds(0.1, 300),
        5,
        "The cluster is asked for all jobs at most once in this many seconds.",
        group=_POLLS,
    )
    snapshot_max_age: float = _setting(
        "JARVICE_DOWNSTREAM_SNAPSHOT_MAX_AGE",
        kinds.seconds(1, 600),
        20,
        "An answer about jobs that is older than this is an error, not an answer.",
        group=_POLLS,
    )
    retention: float = _setting(
        "JARVICE_DOWNSTREAM_RETENTION",
        kinds.seconds(0, 86400),
        3600,
        "How long a collected exit status is given again when the upstream asks again.",
        group=_POLLS,
    )
    command_timeout: float = _setting(
        "JARVICE_DOWNSTREAM_COMMAND_TIMEOUT",
        kinds.seconds(1, 120),
        15,
        "Time for one command on the cluster.",
        group=_POLLS,
    )
    output_limit: int = _setting(
        "JARVICE_DOWNSTREAM_OUTPUT_LIMIT",
        kinds.integer(64 * 1024, 1024 * 1024 * 1024),
        16 * 1024 * 1024,
        "Bytes of a job's output that are handed on at the most.",
        group=_POLLS,
    )

    templates_dir: Path | None = _setting(
        "JARVICE_DOWNSTREAM_TEMPLATES",
        kinds.OPTIONAL_PATH,
        "",
        "The site's own templates, searched before the shipped ones.",
        group=_TEMPLATES,
    )
    executor: str = _setting(
        "JARVICE_BAREMETAL_EXECUTOR",
        kinds.matching(r"[A-Za-z0-9_-]+", "a key of hpc_script"),
        "singularity",
        "Which of the upstream's scripts is run: a key of hpc_script.",
        group=_TEMPLATES,
    )
    job_name_prefix: str = _setting(
        "JARVICE_DOWNSTREAM_JOB_NAME_PREFIX",
        kinds.matching(r"[A-Za-z][A-Za-z_.-]{0,63}", "letters, '_', '.' and '-', without digits"),
        "jarvice_",
        "In front of every Slurm job name. Two portals on one cluster need two prefixes; job names start "
        "with a digit and prefixes hold none, so each sees its own jobs only.",
        group=_TEMPLATES,
    )

    system_registry: str = _setting(
        "JARVICE_SYSTEM_REGISTRY",
        kinds.TEXT,
        "us-docker.pkg.dev",
        "Registry of the init images.",
        group=_IMAGES,
    )
    system_repo_base: str = _setting(
        "JARVICE_SYSTEM_REPO_BASE",
        kinds.TEXT,
        "jarvice-system/images",
        "Repository of the init images.",
        group=_IMAGES,
    )
    images_tag: str = _setting(
        "JARVICE_IMAGES_TAG", kinds.TEXT, "latest", "Tag of the init images.", group=_IMAGES
    )
    docker_username: str = _setting(
        "JARVICE_DOCKER_USERNAME",
        kinds.BASE64_TEXT,
        "",
        "Login for the init images, base64.",
        group=_IMAGES,
    )
    docker_password: str = _setting(
        "JARVICE_DOCKER_PASSWORD",
        kinds.BASE64_TEXT,
        "",
        "Password for the init images, base64.",
        group=_IMAGES,
        secret=True,
    )
    local_registry: str = _setting(
        "JARVICE_LOCAL_REGISTRY",
        kinds.TEXT,
        "",
        "Registry that holds every application as <application>:latest; empty uses each image's own.",
        group=_IMAGES,
    )
    local_repo_base: str = _setting(
        "JARVICE_LOCAL_REPO_BASE", kinds.TEXT, "", "Repository in the local registry.", group=_IMAGES
    )
    registry_proxy_port: str = _setting(
        "JARVICE_REGISTRY_PROXY_PORT",
        kinds.matching(r"[0-9]{0,5}", "a port, or empty"),
        "",
        "Port on localhost of a registry proxy; empty uses none.",
        group=_IMAGES,
    )
    registry_proxy_repos: tuple[str, ...] = _setting(
        "JARVICE_REGISTRY_PROXY_REPOS",
        kinds.WORDS,
        "",
        "Images that start with one of these go through the registry proxy.",
        group=_IMAGES,
    )
    job_global_registries: tuple[str, ...] = _setting(
        "JARVICE_JOB_GLOBAL_REGISTRIES",
        kinds.WORDS,
        "",
        "Images from these registries are kept in the global scratch folder; empty matches none.",
        group=_IMAGES,
    )

    job_scratch_dir: str = _setting(
        "JARVICE_JOB_SCRATCH_DIR",
        kinds.FOLDER_PREFIX,
        "",
        "Folder on the cluster, shared by its nodes, for jobs' files; empty is the user's home folder.",
        group=_JOBS,
    )
    job_global_scratch_dir: str = _setting(
        "JARVICE_JOB_GLOBAL_SCRATCH_DIR",
        kinds.FOLDER_PREFIX,
        "",
        "Folder on the cluster for images that all users share.",
        group=_JOBS,
    )
    singularity_tmpdir: str = _setting(
        "JARVICE_SINGULARITY_TMPDIR",
        kinds.TEXT,
        "/tmp",  # noqa: S108 - a folder on the nodes
        "Singularity's temporary folder on the nodes.",
        group=_JOBS,
    )
    singularity_overlay_size: int = _setting(
        "JARVICE_SINGULARITY_OVERLAY_SIZE",
        kinds.integer(0, 10_000_000),
        600,
        "MB of a node's overlay where the job does not say; 0 is a writable tmpfs.",
        group=_JOBS,
    )
    singularity_verbose: bool = _setting(
        "JARVICE_SINGULARITY_VERBOSE", kinds.BOOLEAN, False, "Jobs tell what they do.", group=_JOBS
    )
    baremetal_http_proxy: str = _setting(
        "JARVICE_BAREMETAL_HTTP_PROXY", kinds.TEXT, "", "Proxy for jobs.", group=_JOBS
    )
    baremetal_https_proxy: str = _setting(
        "JARVICE_BAREMETAL_HTTPS_PROXY", kinds.TEXT, "", "Proxy for jobs.", group=_JOBS
    )
    baremetal_no_proxy: str = _setting(
        "JARVICE_BAREMETAL_NO_PROXY",
        kinds.TEXT,
        "",
        "Hosts that jobs reach without the proxy.",
        group=_JOBS,
    )
    job_service_port: int = _setting(
        "JARVICE_JOB_SERVICE_PORT",
        kinds.integer(1, 65535),
        2228,
        "Port of the application's web service on its node.",
        group=_JOBS,
    )
    job_ssh_port: int = _setting(
        "JARVICE_JOB_SSH_PORT",
        kinds.integer(1, 65535),
        2227,
        "Port of the SSH service between a job's containers.",
        group=_JOBS,
    )

    slurm_interface: str = _setting(
        "JARVICE_SLURM_INTERFACE",
        kinds.choice("cli", "http"),
        "cli",
        "How jobs are submitted: cli is sbatch as the mapped user over SSH; http is slurmrestd with the "
        "user's bearer token.",
        group=_SLURM,
    )
    slurm_cluster_addr: str = _setting(
        "JARVICE_SLURM_CLUSTER_ADDR", kinds.TEXT, "", "The cluster's SSH entry point.", group=_SLURM
    )
    slurm_cluster_port: int = _setting(
        "JARVICE_SLURM_CLUSTER_PORT", kinds.integer(1, 65535), 22, "Its SSH port.", group=_SLURM
    )
    slurm_ssh_user: str = _setting(
        "JARVICE_SLURM_SSH_USER",
        kinds.matching(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", "a user name"),
        "jarvice",
        "The entry user, coordinator of every account whose users use the portal.",
        group=_SLURM,
    )
    slurm_ssh_pkey: str = _setting(
        "JARVICE_SLURM_SSH_PKEY",
        kinds.PRIVATE_KEY,
        "",
        "The entry user's private key, PEM or base64.",
        group=_SLURM,
        secret=True,
    )
    slurm_known_hosts: Path | None = _setting(
        "JARVICE_SLURM_KNOWN_HOSTS",
        kinds.OPTIONAL_PATH,
        "",
        "A known_hosts file that the site keeps; read besides the one in the state folder.",
        group=_SLURM,
    )
    slurm_bin_dir: str = _setting(
        "JARVICE_SLURM_BIN_DIR",
        kinds.TEXT,
        "",
        "Folder of Slurm's commands on the cluster where it is not on the PATH.",
        group=_SLURM,
    )
    slurm_conf: str = _setting(
        "JARVICE_SLURM_CONF",
        kinds.TEXT,
        "",
        "SLURM_CONF on the cluster where it is not the default.",
        group=_SLURM,
    )
    ssh_max_connections: int = _setting(
        "JARVICE_DOWNSTREAM_SSH_MAX_CONNECTIONS",
        kinds.integer(1, 1000),
        64,
        "SSH connections that are kept at the most; the longest idle one goes first.",
        group=_SLURM,
    )
    ssh_channels: int = _setting(
        "JARVICE_DOWNSTREAM_SSH_CHANNELS",
        kinds.integer(1, 100),
        8,
        "Channels of one SSH connection at the most; keep below sshd's MaxSessions (10).",
        group=_SLURM,
    )
    ssh_idle_timeout: float = _setting(
        "JARVICE_DOWNSTREAM_SSH_IDLE_TIMEOUT",
        kinds.seconds(1, 86400),
        300,
        "An SSH connection that nobody used for so long is closed.",
        group=_SLURM,
    )
    ssh_connect_timeout: float = _setting(
        "JARVICE_DOWNSTREAM_SSH_CONNECT_TIMEOUT",
        kinds.seconds(1, 120),
        10,
        "Time to connect and log in.",
        group=_SLURM,
    )
    pvcls_roots: tuple[str, ...] = _setting(
        "JARVICE_DOWNSTREAM_PVCLS_ROOTS",
        kinds.WORDS,
        "",
        "Folders on the cluster that /request/pvcls may list; empty is the entry user's home folder.",
        group=_SLURM,
    )
    slurmrestd_addr: str = _setting(
        "JARVICE_SLURMRESTD_ADDR",
        kinds.HTTP_ADDRESS,
        "",
        "slurmrestd's host name, with http:// or https:// in front, as http://mg1.",
        group=_SLURMRESTD,
    )
    slurmrestd_port: int = _setting(
        "JARVICE_SLURMRESTD_PORT", kinds.integer(1, 65535), 6820, "slurmrestd's port.", group=_SLURMRESTD
    )
    slurmrestd_api_version: str = _setting(
        "JARVICE_SLURMRESTD_API_VERSION",
        kinds.matching(r"(v0\.0\.[0-9]{1,4}|auto|)", "an API version such as v0.0.40, or auto"),
        "auto",
        "The version of slurmrestd's API that is spoken; auto asks slurmrestd, newest first.",
        group=_SLURMRESTD,
    )
    slurmrestd_route: str = _setting(
        "JARVICE_SLURMRESTD_ROUTE",
        kinds.choice("ssh", "direct"),
        "ssh",
        "The way to slurmrestd: ssh goes through the entry user's SSH connection, direct goes straight.",
        group=_SLURMRESTD,
    )
    slurmrestd_ca_file: Path | None = _setting(
        "JARVICE_SLURMRESTD_CA_FILE",
        kinds.OPTIONAL_PATH,
        "",
        "Certificates (PEM) that vouch for slurmrestd with https://; empty uses those that requests has.",
        group=_SLURMRESTD,
    )
    slurmrestd_user_claim: tuple[str, ...] = _setting(
        "JARVICE_SLURMRESTD_USER_CLAIM",
        kinds.WORDS,
        "sun,preferred_username",
        "Claims of the bearer token that may hold the user's name on the cluster; the first that is there "
        "counts. Slurm calls it userclaimfield.",
        group=_SLURMRESTD,
    )
    slurm_user_home: str = _setting(
        "JARVICE_SLURM_USER_HOME",
        kinds.HOME_PATTERN,
        "",
        "Users' home folders on the cluster, as /home/%u; empty asks the cluster's SSH entry point.",
        group=_SLURMRESTD,
    )
    slurm_service_token: Token | TokenFile | None = _setting(
        "JARVICE_SLURM_SERVICE_TOKEN",
        kinds.TOKEN,
        "",
        "A coordinator's token: jobs are managed through slurmrestd with it, and not over SSH. "
        "Its file is read again when it changes.",
        group=_SLURMRESTD,
        secret=True,
    )

    local_slots: int = _setting(
        "JARVICE_DOWNSTREAM_LOCAL_SLOTS",
        kinds.integer(1, 64),
        2,
        "Jobs that run at the same time; the others wait.",
        group=_LOCAL,
    )

    @property
    def uses_ssh(self) -> bool:
        """Whether this way to a cluster goes through its SSH entry point, for anything."""
        return (
            self.slurm_interface == "cli"
            or self.slurmrestd_route == "ssh"
            or self.slurm_service_token is None
        )
