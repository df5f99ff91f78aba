"""A user of the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

NEVER = "root"
"""Nobody's jobs are this user's."""


@dataclass(frozen=True)
class Owner:
    """A user of the cluster and what this user is let in with; the local connector needs neither."""

    user: str
    private_key: str = field(default="", repr=False)
    """PEM or OpenSSH form, for SSH."""
    token: str = field(default="", repr=False)
    """A JSON Web Token, for slurmrestd."""
