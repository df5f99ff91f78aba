"""A slurmrestd that does not answer, or has no slurmctld that does, is left alone, and found again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from pipeline import circuit
from pipeline.connectors import Connector
from pipeline.connectors.slurm.choice import by_slurmrestd
from pipeline.connectors.slurm.slurmrestd import Slurmrestd
from pipeline.errors import NotAuthenticated, Unavailable, Unreachable
from pipeline.identity import Owner
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.slurm.rest.requests import SubmitJob
from pipeline.slurm.submission import Unsettled
from tests.harness.fake_slurmrestd import FakeSlurmrestd, error, instead, token
from tests.harness.jobs import NAME, job
from tests.harness.waiting import eventually

KIRBY = Owner("kirby", token=token("kirby"))
SILENT = error(5004, "Socket timed out on send/recv operation", 500)


@pytest.fixture
def settings(slurmrestd: FakeSlurmrestd, tmp_path: Path) -> Settings:
    return slurmrestd.settings(tmp_path)


@pytest.fixture
def connector(settings: Settings) -> Iterator[Connector]:
    connector = by_slurmrestd(settings)
    assert connector.management.jobs() == []
    yield connector
    connector.close()


@pytest.fixture
def batch(settings: Settings) -> BatchScript:
    return Renderer(settings).batch_script(job())


def _polls_fail(connector: Connector, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Unavailable):
            connector.management.jobs()


def test_while_slurmctld_is_silent_nothing_is_sent_through_slurmrestd(
    connector: Connector, slurmrestd: FakeSlurmrestd, batch: BatchScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "_SHORTEST", 6)  # 3 s or more until somebody is let through to see
    slurmrestd.faults["GET jobs/state"] = [instead(SILENT.status, SILENT.body)] * 100
    _polls_fail(connector, 3)
    asked = len(slurmrestd.asked)
    for _ in range(10):
        with pytest.raises(
            Unreachable, match=r"^slurmrestd at http://.* has not answered since .* timed out"
        ):
            connector.management.jobs()
        with pytest.raises(Unreachable):
            connector.submission.submit(batch, KIRBY)
        with pytest.raises(Unreachable):
            connector.check()
    assert len(slurmrestd.asked) == asked
    assert slurmrestd.calls("POST") == []
    slurmrestd.faults.clear()

    def answers() -> bool:
        try:
            return connector.management.jobs() == []
        except Unreachable:
            return False

    eventually(answers, seconds=20, pause=0.05)
    connector.check()
    assert connector.submission.submit(batch, KIRBY).is_new


def test_submissions_that_slurmctld_does_not_answer_count_too(
    slurmrestd: FakeSlurmrestd, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "_SHORTEST", 10)  # nobody is let through to see
    slurmrestd.faults["POST job/submit"] = [instead(SILENT.status, SILENT.body)] * 100
    api = Slurmrestd(settings, None)
    try:
        for _ in range(3):
            with pytest.raises(Unsettled, match="timed out"):
                api.ask(SubmitJob(b"{}"), KIRBY)
        with pytest.raises(Unreachable, match="has not answered since"):
            api.ask(SubmitJob(b"{}"), KIRBY)
    finally:
        api.close()
    assert len(slurmrestd.calls("POST")) == 3


def test_an_answer_without_slurmctld_proves_nothing(connector: Connector, slurmrestd: FakeSlurmrestd) -> None:
    """Which versions there are slurmrestd tells by itself."""
    slurmrestd.faults["GET jobs/state"] = [instead(503, "no slurmctld")] * 100
    for _ in range(2):
        _polls_fail(connector, 1)
        connector.submission.check()
    _polls_fail(connector, 1)
    with pytest.raises(Unreachable, match="has not answered since"):
        connector.submission.check()


def test_accounting_that_is_away_keeps_nothing_else_out(
    connector: Connector, slurmrestd: FakeSlurmrestd
) -> None:
    slurmrestd.faults["GET slurmdb"] = [instead(503, "no slurmdbd")] * 100
    for _ in range(5):
        with pytest.raises(Unavailable):
            connector.management.search(NAME)
    assert connector.management.jobs() == []


def test_tokens_that_are_refused_keep_nobody_else_out(
    connector: Connector, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    forged = Owner("kirby", token=jwt.encode({"sun": "kirby"}, "x" * 32, algorithm="HS256"))
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            connector.submission.submit(batch, forged)
    assert connector.submission.submit(batch, KIRBY).is_new
