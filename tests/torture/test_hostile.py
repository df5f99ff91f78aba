"""A small part of what ``./run torture hostile`` does, for every change."""

from __future__ import annotations

import random
from pathlib import Path

from tests.torture import hostile
from tests.torture.hostile_jobs import RUN, Hostile
from tests.torture.hostile_node import HostileNode


def test_hostile_jobs_do_no_harm(tmp_path: Path) -> None:
    figures = hostile.run(60, 1, tmp_path)
    assert not figures.broken, figures.broken
    assert figures.counts["accepted"] == figures.counts["run by bash"] > 35
    assert figures.counts["containers started"] > 8


def test_what_is_executed_and_what_arrives_changed_is_found(tmp_path: Path) -> None:
    """The round itself: it sees harm where there is some."""
    node = HostileNode(tmp_path)
    jobs = hostile.Jobs()
    site = hostile.Site({}, node, jobs, random.Random(1))
    spec = {"name": "a", "user": "kirby", "image": "ubuntu", "command": ["echo"], "overlay_mb": 0}
    site.take(Hostile(spec))
    assert not jobs.broken
    node.program("apptainer", RUN)
    site.take(Hostile(spec))
    assert "a field was executed" in jobs.broken[0]
