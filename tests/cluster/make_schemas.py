"""Write ``schemas/slurmrestd`` anew: ``python3 -m tests.cluster.make_schemas [VARIANT...]``.

Each file is the schema of a job submission (``POST /slurm/<version>/job/submit``) in one version of
slurmrestd's API, made from the OpenAPI document of a slurmrestd on the throwaway cluster. Read the
difference after it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import requests

from pipeline.shipped import folder
from tests.cluster.schema_corrections import V0_0_39_FROM_V0_0_40
from tests.cluster.submission_schema import Schema, job_fields, submission
from tests.harness.cluster import Cluster

MADE_ON = {
    "v0.0.38": "bookworm",
    "v0.0.39": "trixie",
    "v0.0.40": "trixie",
    "v0.0.41": "trixie",
    "v0.0.42": "sid",
    "v0.0.43": "sid",
    "v0.0.44": "sid",
    "v0.0.45": "sid",
}
"""The variant of the cluster whose slurmrestd each file is made from.

Of two that serve a version it is the newer one. For v0.0.42 the older one has the same rules, and the
tests on the cluster hold that. v0.0.39 is served by none; it comes of v0.0.40.
"""


def schemas_of(cluster: Cluster) -> dict[str, Schema]:
    """The schema of each version that this cluster serves, and of v0.0.39 where v0.0.40 is."""
    document = _document(cluster)
    slurm = cluster.run("sinfo", "--version").split()[-1]
    made = {}
    for version in MADE_ON:
        if f"/slurm/{version}/job/submit" not in document["paths"]:
            continue
        fields = job_fields(document, version)
        made[version] = submission(version, fields, f"From slurmrestd of Slurm {slurm}.")
        if version == "v0.0.40":
            fields = V0_0_39_FROM_V0_0_40.applied(fields)
            source = "From Slurm's documentation, not from a live slurmrestd."
            made["v0.0.39"] = submission("v0.0.39", fields, source)
    return made


def file_of(version: str) -> Path:
    """Where the schema of a version is."""
    return folder("schemas") / "slurmrestd" / f"{version}.schema.json"


def main() -> None:
    """Write the files that are made on the variants that the command line names, or on all."""
    for variant in sys.argv[1:] or sorted(set(MADE_ON.values())):
        for version, schema in schemas_of(Cluster.start(variant)).items():
            if MADE_ON[version] == variant:
                file_of(version).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


def _document(cluster: Cluster) -> dict[str, Any]:
    """The OpenAPI document of the cluster's slurmrestd, which shows it to users only."""
    token = cluster.run("scontrol", "token", "username=kirby").strip().removeprefix("SLURM_JWT=")
    reply = requests.get(
        f"{cluster.info['slurmrestd']['url']}/openapi/v3",
        headers={"X-SLURM-USER-NAME": "kirby", "X-SLURM-USER-TOKEN": token},
        timeout=60,
    )
    reply.raise_for_status()
    document: dict[str, Any] = reply.json()
    return document


if __name__ == "__main__":
    main()
