"""Where slurmrestd is, as variables of a start script, and tokens of Slurm's own."""

from __future__ import annotations

import time
from pathlib import Path

import jwt

from tests.harness.cluster import Cluster


def at(url: str) -> dict[str, str]:
    """slurmrestd at an URL, asked through SSH."""
    address, _, port = url.rpartition(":")
    return {"JARVICE_SLURMRESTD_ADDR": address, "JARVICE_SLURMRESTD_PORT": port}


def straight_at(url: str) -> dict[str, str]:
    """slurmrestd at an URL, asked straight."""
    return {**at(url), "JARVICE_SLURMRESTD_ROUTE": "direct"}


def token(cluster: Cluster, *, lifetime: int = 600, **claims: object) -> str:
    """A token with the cluster's own key, for what ``cluster token`` cannot make; it may have expired."""
    now = int(time.time())
    key = Path(cluster.info["jwt_key"]).read_bytes()
    return jwt.encode({"iat": now - 3600, "exp": now + lifetime, **claims}, key, algorithm="HS256")
