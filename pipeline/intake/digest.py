"""Whether a job that has a name is the one that had it before: a hash of what the caller asks for."""

from __future__ import annotations

import json
from hashlib import sha256

_HEX_DIGITS = 32
"""Half of the hash: 128 bits, for a file on the cluster and a job's comment in Slurm."""


def digest(content: object) -> str:
    """The hash of what can be said in JSON; secrets are left out of it before.

    It is of what was asked, not of the batch script, which changes with the site's settings and templates.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("ascii")).hexdigest()[:_HEX_DIGITS]
