"""Settings of where jobs go: the Slurm cluster over SSH, slurmrestd, or this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.settings import kinds
from pipeline.settings.declaration import setting
from pipeline.settings.token import Token, TokenFile

_SLURM = "The Slurm cluster"
_SLURMRESTD = "slurmrestd"
_LOCAL = "The local connector"


@dataclass(frozen=True)
class ClusterSettings:
    """How the connector reaches what runs jobs."""

    slurm_interface: str = setting(
        "JARVICE_SLURM_INTERFACE",
        kinds.choice("cli", "http"),
        "cli",
        "How jobs are submitted: cli is sbatch as the mapped user over SSH; http is slurmrestd with the "
        "user's bearer token.",
        group=_SLURM,
    )
    slurm_cluster_addr: str = setting(
        "JARVICE_SLURM_CLUSTER_ADDR", kinds.TEXT, "", "The cluster's SSH entry point.", group=_SLURM
    )
    slurm_cluster_port: int = setting(
        "JARVICE_SLURM_CLUSTER_PORT", kinds.integer(1, 65535), 22, "Its SSH port.", group=_SLURM
    )
    slurm_ssh_user: str = setting(
        "JARVICE_SLURM_SSH_USER",
        kinds.matching(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", "a user name"),
        "jarvice",
        "The entry user, coordinator of every account whose users use the portal.",
        group=_SLURM,
    )
    slurm_ssh_pkey: str = setting(
        "JARVICE_SLURM_SSH_PKEY",
        kinds.PRIVATE_KEY,
        "",
        "The entry user's private key, PEM or base64; empty lets JARVICE_SLURM_SSH_CA_KEY vouch for it.",
        group=_SLURM,
        secret=True,
    )
    slurm_ssh_ca_key: str = setting(
        "JARVICE_SLURM_SSH_CA_KEY",
        kinds.PRIVATE_KEY,
        "",
        "The private key, PEM or base64, that signs certificates with which users without a key of their own "
        "log in; the cluster's sshd trusts it.",
        group=_SLURM,
        secret=True,
    )
    slurm_ssh_certificate_time: float = setting(
        "JARVICE_SLURM_SSH_CERTIFICATE_TIME",
        kinds.seconds(120, 3600),
        300,
        "How long such a certificate lets its user log in; each connection has one of its own.",
        group=_SLURM,
    )
    slurm_known_hosts: Path | None = setting(
        "JARVICE_SLURM_KNOWN_HOSTS",
        kinds.OPTIONAL_PATH,
        "",
        "A known_hosts file that the site keeps; read besides the one in the state folder.",
        group=_SLURM,
    )
    slurm_host_keys: str = setting(
        "JARVICE_SLURM_HOST_KEYS",
        kinds.choice("accept-new", "strict"),
        "accept-new",
        "accept-new remembers a host key that is seen for the first time; strict takes only keys that are "
        "known already.",
        group=_SLURM,
    )
    slurm_bin_dir: str = setting(
        "JARVICE_SLURM_BIN_DIR",
        kinds.TEXT,
        "",
        "Folder of Slurm's commands on the cluster where it is not on the PATH.",
        group=_SLURM,
    )
    slurm_conf: str = setting(
        "JARVICE_SLURM_CONF",
        kinds.TEXT,
        "",
        "SLURM_CONF on the cluster where it is not the default.",
        group=_SLURM,
    )
    ssh_max_connections: int = setting(
        "JARVICE_DOWNSTREAM_SSH_MAX_CONNECTIONS",
        kinds.integer(1, 1000),
        64,
        "SSH connections that are kept at the most; the longest idle one goes first.",
        group=_SLURM,
    )
    ssh_channels: int = setting(
        "JARVICE_DOWNSTREAM_SSH_CHANNELS",
        kinds.integer(1, 100),
        8,
        "Channels of one SSH connection at the most; keep below sshd's MaxSessions (10).",
        group=_SLURM,
    )
    ssh_idle_timeout: float = setting(
        "JARVICE_DOWNSTREAM_SSH_IDLE_TIMEOUT",
        kinds.seconds(1, 86400),
        300,
        "An SSH connection that nobody used for so long is closed.",
        group=_SLURM,
    )
    ssh_connect_timeout: float = setting(
        "JARVICE_DOWNSTREAM_SSH_CONNECT_TIMEOUT",
        kinds.seconds(1, 120),
        10,
        "Time to connect and log in.",
        group=_SLURM,
    )
    pvcls_roots: tuple[str, ...] = setting(
        "JARVICE_DOWNSTREAM_PVCLS_ROOTS",
        kinds.WORDS,
        "",
        "Folders on the cluster that /request/pvcls may list; empty is the home folder of who lists: the "
        "entry user or, with the cli interface, the owner of a job that it is asked of.",
        group=_SLURM,
    )

    slurmrestd_addr: str = setting(
        "JARVICE_SLURMRESTD_ADDR",
        kinds.HTTP_ADDRESS,
        "",
        "slurmrestd's host name, with http:// or https:// in front, as http://mg1.",
        group=_SLURMRESTD,
    )
    slurmrestd_port: int = setting(
        "JARVICE_SLURMRESTD_PORT", kinds.integer(1, 65535), 6820, "slurmrestd's port.", group=_SLURMRESTD
    )
    slurmrestd_api_version: str = setting(
        "JARVICE_SLURMRESTD_API_VERSION",
        kinds.matching(r"(v0\.0\.[0-9]{1,4}|auto|)", "an API version such as v0.0.40, or auto"),
        "auto",
        "The version of slurmrestd's API that is spoken; auto asks slurmrestd, newest first.",
        group=_SLURMRESTD,
    )
    slurmrestd_route: str = setting(
        "JARVICE_SLURMRESTD_ROUTE",
        kinds.choice("ssh", "direct"),
        "ssh",
        "The way to slurmrestd: ssh goes through the entry user's SSH connection, direct goes straight.",
        group=_SLURMRESTD,
    )
    slurmrestd_ca_file: Path | None = setting(
        "JARVICE_SLURMRESTD_CA_FILE",
        kinds.OPTIONAL_PATH,
        "",
        "Certificates (PEM) that vouch for slurmrestd with https://; empty uses those that requests has.",
        group=_SLURMRESTD,
    )
    slurmrestd_user_claim: tuple[str, ...] = setting(
        "JARVICE_SLURMRESTD_USER_CLAIM",
        kinds.WORDS,
        "sun,preferred_username",
        "Claims of the bearer token that may hold the user's name on the cluster; the first that is there "
        "counts. Slurm calls it userclaimfield.",
        group=_SLURMRESTD,
    )
    slurm_user_home: str = setting(
        "JARVICE_SLURM_USER_HOME",
        kinds.HOME_PATTERN,
        "",
        "Users' home folders on the cluster, as /home/%u; empty asks the cluster's SSH entry point.",
        group=_SLURMRESTD,
    )
    slurm_service_token: Token | TokenFile | None = setting(
        "JARVICE_SLURM_SERVICE_TOKEN",
        kinds.TOKEN,
        "",
        "A coordinator's token: jobs are managed through slurmrestd with it, and not over SSH. "
        "Its file is read again when it changes.",
        group=_SLURMRESTD,
        secret=True,
    )

    local_slots: int = setting(
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
