"""The shipped schemas of submissions, held to the slurmrestd of this cluster."""

from __future__ import annotations

from pipeline.shipped import schema
from tests.cluster.make_schemas import MADE_ON, schemas_of
from tests.cluster.submission_schema import rules
from tests.harness.cluster import Cluster


def test_the_shipped_schemas_are_what_this_slurmrestd_says(cluster: Cluster) -> None:
    made = schemas_of(cluster)
    assert set(made) >= {version for version, variant in MADE_ON.items() if variant == cluster.variant}
    changed = [version for version in made if rules(made[version]) != rules(schema(f"slurmrestd/{version}"))]
    assert changed == [], f"python3 -m tests.cluster.make_schemas {cluster.variant}"
