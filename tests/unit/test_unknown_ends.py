"""An exit record that cannot be read now is not one that is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.connectors.slurm.management_by_commands import ManagementByCommands
from pipeline.connectors.slurm.owners_files import AsTheOwner
from pipeline.errors import NotFound, Unavailable
from pipeline.identity import Owner, UsersMapping
from pipeline.job import JobRef, JobStatus, Phase
from pipeline.settings import Settings
from pipeline.slurm.commands import ExitCodes, NoAccounting, Squeue
from pipeline.slurm.job_files import ReadClaim, ReadRecord
from pipeline.tracker import Tracker
from tests.harness.jobs import NAME
from tests.harness.keys import private_key_text

LEFT = JobStatus(NAME, "100", "kirby", "RUNNING", Phase.RUNNING)

Answers = dict[type, list[Any]]


@pytest.fixture
def management(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[[Answers], ManagementByCommands]:
    """On a cluster without accounting; each kind of command has the next of its answers, or the last."""

    def make(answers: Answers) -> ManagementByCommands:
        settings = Settings(slurm_cluster_addr="mg1", slurm_ssh_pkey=private_key_text(), state_dir=tmp_path)
        host = ClusterHost(settings)

        def ask(command: object, **_: object) -> Any:
            told = answers.get(type(command), [NoAccounting()])
            answer = told.pop(0) if len(told) > 1 else told[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(host, "ask", ask)
        users = UsersMapping({"kirby@example.com": Owner("kirby", private_key_text())})
        return ManagementByCommands(settings, host, AsTheOwner(settings, users))

    return make


SLOW = Unavailable("ssh: kirby@mg1: no answer within 15 s")


def test_a_job_of_an_earlier_process_is_not_told_as_never_there(
    management: Callable[[Answers], ManagementByCommands],
) -> None:
    """Its owner is found by its files; then they cannot be read."""
    manages = management({Squeue: [[]], ExitCodes: [{}], ReadRecord: [None, SLOW]})
    tracker = Tracker(manages, interval=5, max_age=20, retention=60)
    with pytest.raises(Unavailable, match="no answer within"):
        tracker.find(JobRef(NAME, 1, "100"))


def test_who_really_was_never_there_is_told_so(
    management: Callable[[Answers], ManagementByCommands],
) -> None:
    manages = management({Squeue: [[]], ReadRecord: [NotFound("no such folder")]})
    with pytest.raises(NotFound):
        Tracker(manages, interval=5, max_age=20, retention=60).find(JobRef(NAME, 1, "100"))


def test_a_job_that_has_left_the_queue_tells_why_its_end_is_not_known(
    management: Callable[[Answers], ManagementByCommands],
) -> None:
    known, fault = management({ReadRecord: [SLOW]}).ended([LEFT])
    assert known == []
    assert fault is SLOW


def test_a_name_whose_record_cannot_be_read_is_not_told_as_unused(
    management: Callable[[Answers], ManagementByCommands],
) -> None:
    with pytest.raises(Unavailable, match="no answer within"):
        management({ReadClaim: ["100"], ReadRecord: [SLOW]}).search(NAME)
