"""Settings of the service itself: where it listens, how often it asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.settings import kinds
from pipeline.settings.declaration import setting

_SERVICE = "The service"
_POLLS = "Polls and limits"


@dataclass(frozen=True)
class ServiceSettings:
    """What the service needs whatever jobs it runs."""

    connector: str = setting(
        "JARVICE_BAREMETAL_CONNECTOR",
        kinds.choice("slurm", "local", aliases={"connectors.slurm.connector": "slurm"}),
        "slurm",
        "Where jobs go: slurm, or local for a first try on this machine.",
        group=_SERVICE,
    )
    loglevel: int = setting(
        "JARVICE_SCHED_LOGLEVEL",
        kinds.LOGLEVEL,
        "INFO",
        "What is logged, as a number or a name.",
        group=_SERVICE,
    )
    server_key: str = setting(
        "JARVICE_SCHED_SERVER_KEY",
        kinds.LOGIN,
        "",
        "<user>:<password> that the upstream sends by HTTP Basic; empty asks for none.",
        group=_SERVICE,
        secret=True,
    )
    bind_address: str = setting(
        "WAITRESS_BIND_ADDRESS",
        kinds.TEXT,
        "127.0.0.1",
        "The address that the service listens on.",
        group=_SERVICE,
    )
    port: int = setting(
        "WAITRESS_PORT",
        kinds.integer(0, 65535),
        5000,
        "The port that the service listens on.",
        group=_SERVICE,
    )
    http_threads: int = setting(
        "JARVICE_DOWNSTREAM_HTTP_THREADS",
        kinds.integer(1, 256),
        16,
        "Requests that are worked on at the same time.",
        group=_SERVICE,
    )
    stop_timeout: float = setting(
        "JARVICE_DOWNSTREAM_STOP_TIMEOUT",
        kinds.seconds(0, 600),
        20,
        "Time for requests that are under way when the service is told to end; no new ones are taken.",
        group=_SERVICE,
    )
    state_dir: Path = setting(
        "JARVICE_DOWNSTREAM_STATE_DIR",
        kinds.PATH,
        "state",
        "Folder for remembered host keys and the local connector's jobs; holds no job state of a cluster.",
        group=_SERVICE,
    )
    users_id_mapping: Path = setting(
        "JARVICE_USERS_ID_MAPPING",
        kinds.PATH,
        "users_id_mapping_configuration.yaml",
        "The file that maps upstream users to cluster users.",
        group=_SERVICE,
    )

    poll_interval: float = setting(
        "JARVICE_DOWNSTREAM_POLL_INTERVAL",
        kinds.seconds(0.1, 300),
        5,
        "The cluster is asked for all jobs at most once in this many seconds.",
        group=_POLLS,
    )
    snapshot_max_age: float = setting(
        "JARVICE_DOWNSTREAM_SNAPSHOT_MAX_AGE",
        kinds.seconds(1, 600),
        20,
        "An answer about jobs that is older than this is an error, not an answer.",
        group=_POLLS,
    )
    retention: float = setting(
        "JARVICE_DOWNSTREAM_RETENTION",
        kinds.seconds(0, 86400),
        3600,
        "How long a collected exit status is given again when the upstream asks again.",
        group=_POLLS,
    )
    command_timeout: float = setting(
        "JARVICE_DOWNSTREAM_COMMAND_TIMEOUT",
        kinds.seconds(1, 120),
        15,
        "Time for one command on the cluster.",
        group=_POLLS,
    )
    output_limit: int = setting(
        "JARVICE_DOWNSTREAM_OUTPUT_LIMIT",
        kinds.integer(64 * 1024, 1024 * 1024 * 1024),
        16 * 1024 * 1024,
        "Bytes of a job's output that are handed on at the most.",
        group=_POLLS,
    )
    request_rate: int = setting(
        "JARVICE_DOWNSTREAM_REQUEST_RATE",
        kinds.integer(0, 1_000_000),
        500,
        "Requests a second from one address, twice as many in a burst; the rest is told 429. 0: no limit.",
        group=_POLLS,
    )
    wrong_logins: int = setting(
        "JARVICE_DOWNSTREAM_WRONG_LOGINS",
        kinds.integer(0, 1_000_000),
        60,
        "Wrong logins a minute from one address; then no login is looked at for a while. 0: no limit.",
        group=_POLLS,
    )
