"""A service on the throwaway cluster, shared by the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.service import Service


@pytest.fixture(scope="session")
def service(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for many tests: kirby, mario and dovahkiin are mapped."""
    folder = tmp_path_factory.mktemp("service")
    cluster.write_mapping(folder)
    service = Service(folder, cluster.settings()).start()
    yield service
    service.stop()


@pytest.fixture
def own_service(
    cluster: Cluster, tmp_path: Path, start_service: Callable[..., Service]
) -> Callable[..., Service]:
    """Starts a service of this test's own, with settings of its own."""

    def start(**settings: str) -> Service:
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        cluster.write_mapping(folder)
        return start_service({**cluster.settings(), **settings}, folder)

    return start
