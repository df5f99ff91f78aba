"""slurmrestd's replies, in the forms of Slurm 22.05 (v0.0.38), 24.11 (.40 to .42) and 26.05 (.42 to .45)."""

from __future__ import annotations

import json
from typing import Any

from pipeline.slurm.rest.requests import SubmitJob
from pipeline.transport import HttpReply

OLD, MIDDLE, NEW = "v0.0.38", "v0.0.40", "v0.0.45"
NOW = 1795408200.0
CONNECT = "Unable to contact slurm controller (connect failure)"
SUBMIT = SubmitJob(b"{}")
NO_SUCH_PATH = b"Unable find requested URL. Please view /openapi/v3 for API reference."
NO_SUCH_PATH_26_05 = b"Unable to find requested URL endpoint. Please query the '/openapi/v3' endpoint"


def reply(document: object, status: int = 200) -> HttpReply:
    return HttpReply(status, json.dumps(document).encode())


def error(number: int, text: str, description: str = "Batch job submission failed") -> dict[str, Any]:
    """An entry of ``errors`` as v0.0.40 and newer have it."""
    source = "slurm_submit_batch_job()"
    return {"description": description, "error_number": number, "error": text, "source": source}


def errors(number: int, text: str, description: str = "Batch job submission failed") -> dict[str, Any]:
    return {"errors": [error(number, text, description)], "warnings": []}


def old_errors(number: int, text: str) -> dict[str, Any]:
    """What v0.0.38 says of a submission."""
    return {"errors": [{"error_code": number, "error": text}]}


def number(value: int | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": False, "number": value or 0}
