"""Fixtures for every test, and the account of what was left out."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pipeline import redaction
from tests.harness.cluster import Cluster, ClusterNotFit, is_ci
from tests.harness.fake_slurmrestd import FakeSlurmrestd
from tests.harness.service import Service

_LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_configure() -> None:
    """Signals end what tests start, also where nohup, or a script's background, has them ignored here."""
    for one in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(one) is signal.SIG_IGN:
            signal.signal(one, lambda *_: None)  # what is started inherits SIG_IGN, but no handler


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The throwaway cluster; JARVICE_TEST_CLUSTER names the variant, trixie unless it does."""
    try:
        return Cluster.start(os.environ.get("JARVICE_TEST_CLUSTER", "trixie"))
    except ClusterNotFit as reason:
        if is_ci():
            pytest.fail(f"CI needs the throwaway cluster: {reason}")
        left_out = request.config.stash.setdefault(_LEFT_OUT, {})
        left_out[str(reason)] = sum(
            "cluster" in getattr(item, "fixturenames", ()) for item in request.session.items
        )
        pytest.skip(str(reason))  # named at the end, by pytest_terminal_summary


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is a secret in one test is none in the next."""
    monkeypatch.setattr(redaction, "_known", {})


@pytest.fixture
def slurmrestd() -> Iterator[FakeSlurmrestd]:
    """A stand-in that does what a test wants of it."""
    fake = FakeSlurmrestd()
    yield fake
    fake.stop()


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services, each in a folder of its own under the test's, and ends them."""
    services: list[Service] = []

    def start(settings: dict[str, str], folder: Path | None = None, **how: Sequence[str]) -> Service:
        place = folder or tmp_path / f"service-{len(services)}"
        place.mkdir(parents=True, exist_ok=True)
        services.append(Service(place, settings, **how))
        return services[-1].start()

    yield start
    for service in services:
        service.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was left out and why: nothing is skipped quietly."""
    for reason, count in config.stash.get(_LEFT_OUT, {}).items():
        terminalreporter.write_line(f"left out: {count} tests on the throwaway cluster, because {reason}")
