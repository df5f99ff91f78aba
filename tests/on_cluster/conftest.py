"""A service on the throwaway cluster, shared by the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.service import Sent, Service


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


@pytest.fixture(scope="session")
def overlong_job(service: Service) -> Sent:
    """A job that Slurm ends at its walltime, a minute or more after it was sent."""
    devices = ["exclusive=False", "sbatch_nodelist=n3"]
    return service.submit(form(script("sleep 600", devices=devices, JOBOBJ_WALLTIME="00:01:00")))


@pytest.fixture(scope="session", autouse=True)
def head_start(request: pytest.FixtureRequest) -> None:
    """Sends the job that takes a minute before the first test, so that nobody waits for it at the end."""
    if any("overlong_job" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("overlong_job")
