"""Upstream forms as the portal makes them."""

from __future__ import annotations

import itertools
import json
import secrets
import string
import time
from base64 import b64encode
from typing import Any

import jwt

_counter = itertools.count(1)


def job_name(user: str = "demo", app: str = "app") -> str:
    """A new name of the contract's form."""
    letters = "".join(secrets.choice(string.ascii_uppercase) for _ in range(5))
    return f"{time.strftime('%Y%m%d%H%M%S')}-{letters}-{app}-{user}_s1"


def bearer(mail: str) -> str:
    """A token as the portal's identity provider gives it, with a key made for this one token."""
    return jwt.encode({"email": mail}, secrets.token_hex(32), algorithm="HS256")


def bearer_of(user: str) -> str:
    """The bearer of a form; tests on a cluster put one in its place that Slurm takes."""
    return bearer(f"{user}@example.com")


def script(body: str, *, devices: list[str] | None = None, **keys: object) -> str:
    """An upstream script: keys, the downstream's parameters, and a body whose braces are doubled here."""
    lines = {
        "JOBOBJ_INTERACTIVE": "False",
        "JOBOBJ_APPDEFVERSION": 2,
        "JOBOBJ_ARCH": "x86_64",
        "JOBOBJ_NAE": "app",
        "JOBOBJ_REPO": "ubuntu",
        "JOBOBJ_USER": "demo",
        "JOBOBJ_DEVICES": json.dumps(["exclusive=False"] if devices is None else devices),
        "JARVICE_CPU_CORES": 1,
        **keys,
    }
    head = "".join(f"{key}={value}\n" for key, value in lines.items() if value is not None)
    doubled = body.replace("{", "{{").replace("}", "}}")
    return f"#!/bin/bash\n{head}{{DOWNSTREAM_PARAMETERS}}\n{doubled}\n"


def form(
    text: str, *, user: str = "kirby", name: str | None = None, nodes: int = 1, **fields: Any
) -> dict[str, Any]:
    """The args of POST /submit for an upstream script, sent by a user of the mapping."""
    return {
        "name": name or job_name(),
        "number": next(_counter),
        "nodes": nodes,
        "hpc_script": {"singularity": b64encode(text.encode("utf-8")).decode("ascii")},
        "bearer": bearer_of(user),
        **fields,
    }
