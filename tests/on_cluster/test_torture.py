"""Small sizes of the rounds of ``./run torture`` that need the cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.fault_proxy import Fault, Harm
from tests.harness.interface import Interface
from tests.torture.clocks import clocks
from tests.torture.faults import Step, faults
from tests.torture.folders import folders
from tests.torture.kills import kills
from tests.torture.marked import marked
from tests.torture.outages import Outage, survive

NAMES, KILLS = 20, 12


@pytest.mark.parametrize(("way", "replicas"), [("cli", 3), ("http", 3)])
def test_every_name_runs_once_however_often_the_downstream_is_killed(
    way: str, replicas: int, interface_of: Callable[[str], Interface], tmp_path: Path
) -> None:
    figures = kills(interface_of(way), tmp_path, names=NAMES, kills=KILLS, replicas=replicas)
    assert not figures.broken, "\n".join(figures.broken)
    assert (figures.kills, figures.tally.ran) == (KILLS, {1: NAMES})
    assert figures.kills_in_submissions


def test_a_network_that_fails_at_a_step_of_a_submission_costs_no_job(
    interface_of: Callable[[str], Interface], tmp_path: Path
) -> None:
    def some(harms: list[tuple[Step, Fault]]) -> list[tuple[Step, Fault]]:
        """Of each step two, in turn; no delays, which take no more than patience."""
        return [harm for harm in harms if harm[1].harm is not Harm.DELAY][::3]

    limits = ("JARVICE_DOWNSTREAM_COMMAND_TIMEOUT", "JARVICE_DOWNSTREAM_SSH_CONNECT_TIMEOUT")
    figures = faults(interface_of("cli"), tmp_path, choose=some, **dict.fromkeys(limits, "3"))
    assert not figures.broken, "\n".join(figures.broken)
    assert sum(case.harmed > 0 for case in figures.cases) > 10


def test_a_frozen_slurmctld_costs_no_job_and_doubles_none(
    interface_of: Callable[[str], Interface], tmp_path: Path
) -> None:
    """For so long that sbatch gives up, and slurmctld takes the job all the same."""
    figures = survive(interface_of("cli"), Outage("slurmctld", "freeze"), tmp_path / "service", away=0)
    assert not figures.broken, "\n".join(figures.broken)
    assert figures.answers["503"]


def test_folders_that_are_full_read_only_or_gone_cost_no_second_run(
    interface_of: Callable[[str], Interface], tmp_path: Path
) -> None:
    figures = folders(interface_of("cli"), tmp_path / "service")
    assert not figures.broken, "\n".join(figures.broken)


@pytest.mark.parametrize("way", ["cli", "http"])
def test_clocks_may_be_a_little_apart(
    way: str, interface_of: Callable[[str], Interface], tmp_path: Path
) -> None:
    figures = clocks(interface_of(way), tmp_path / "service")
    assert not figures.broken, "\n".join(figures.broken)


@pytest.mark.parametrize("way", ["cli", "http"])
def test_no_secret_shows_where_it_is_not_meant_to_be(
    way: str, interface_of: Callable[[str], Interface], tmp_path: Path
) -> None:
    figures = marked(interface_of(way), tmp_path / "service")
    assert not figures.broken, "\n".join(figures.broken)
    assert any("job's own processes" in where for where in figures.known), "the jobs were watched"
