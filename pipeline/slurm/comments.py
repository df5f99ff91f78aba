"""What the comment of a job says that came through slurmrestd: the digest of its content.

slurmrestd has no folder that a submission could leave it in, and Slurm shows a comment with the job.
"""

from __future__ import annotations

import re

_COMMENT = re.compile(r"jarvice:([0-9a-f]{1,64})")


def comment(digest: str) -> str:
    """The comment of a job with this digest of its content, as ``Job.digest``."""
    return f"jarvice:{digest}"


def digest_in(comment: object) -> str:
    """The digest that a comment tells; empty for one of the site or of the job."""
    match = _COMMENT.fullmatch(comment) if isinstance(comment, str) else None
    return match[1] if match else ""
