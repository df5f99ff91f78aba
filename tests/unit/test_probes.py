"""``/ready`` looks for a cluster, and goes on looking."""

from __future__ import annotations

import threading
from unittest.mock import Mock

import pytest

from pipeline.api import create_app
from pipeline.downstream import Downstream
from pipeline.errors import Unreachable
from tests.harness.waiting import eventually


def test_who_asks_nothing_but_ready_has_the_cluster_looked_for() -> None:
    """A new service at a wrong address would be ready for ever: nobody knows yet that nobody answers."""
    downstream = Mock(Downstream, **{"silence.return_value": None})
    assert create_app(downstream).test_client().get("/ready").status_code == 200
    eventually(lambda: downstream.running.called, seconds=5)


def test_a_machine_that_has_no_thread_to_give_does_not_end_the_looking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody else asks a service that is not ready: it would never be again."""
    silence = Unreachable("the cluster has not answered since 2024")
    silence.retry_after = 1.0
    downstream = Mock(Downstream, **{"silence.return_value": silence})
    client = create_app(downstream).test_client()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        assert client.get("/ready").status_code == 503
    assert not downstream.running.called
    assert client.get("/ready").status_code == 503
    eventually(lambda: downstream.running.called, seconds=5)
