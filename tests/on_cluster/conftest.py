"""A service on the throwaway cluster for each interface, shared by the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.harness import forms
from tests.harness.cluster import Cluster
from tests.harness.containers import Containers
from tests.harness.forms import form, script
from tests.harness.interface import INTERFACES, SCRATCH, Interface, bearer
from tests.harness.service import Sent, Service


@pytest.fixture(scope="package", autouse=True)
def bearers_that_slurm_takes(cluster: Cluster) -> Iterator[None]:
    """Every form has one, so that the same form can go either way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "bearer_of", lambda user: bearer(cluster, user))
        yield


@pytest.fixture(scope="package", autouse=True)
def nothing_stays(cluster: Cluster) -> Iterator[None]:
    """At the end somebody has to remove what the entry user cannot."""
    yield
    cluster.run("rm", "--recursive", "--force", SCRATCH)


@pytest.fixture(scope="session")
def interface_of(cluster: Cluster) -> Callable[[str], Interface]:
    """The interface of a name, made when the first test asks for it."""
    return cache(lambda name: INTERFACES[name](cluster))


@pytest.fixture(scope="module", params=["cli", "http"])
def interface(
    request: pytest.FixtureRequest, interface_of: Callable[[str], Interface], cluster: Cluster
) -> Interface:
    """The way that jobs go; a test is about all of these unless ``ways.py`` says otherwise of it."""
    if request.param == "http-managed" and cluster.variant == "bookworm":
        pytest.skip("slurmrestd of Slurm 22.05 does not have what polls need")
    return interface_of(request.param)


@pytest.fixture(scope="session")
def service_of(
    interface_of: Callable[[str], Interface], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Service]]:
    """One service for many tests, of the interface of a name: kirby, mario and dovahkiin are mapped."""
    started = []

    @cache
    def start(name: str) -> Service:
        folder = tmp_path_factory.mktemp(f"service-{name}")
        interface_of(name).write_mapping(folder)
        started.append(Service(folder, interface_of(name).settings).start())
        return started[-1]

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="module")
def service(interface: Interface, service_of: Callable[[str], Service]) -> Service:
    """The service of the interface."""
    return service_of(interface.name)


@pytest.fixture
def own_service(
    interface: Interface, tmp_path: Path, start_service: Callable[..., Service]
) -> Callable[..., Service]:
    """Starts a service of this test's own, with settings of its own."""

    def start(**settings: str) -> Service:
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        interface.write_mapping(folder)
        return start_service({**interface.settings, **settings}, folder)

    return start


@pytest.fixture(scope="module")
def containers_of(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Containers]]:
    """Makes what submits native jobs through an interface, with settings of its own."""
    if cluster.variant == "bookworm":
        pytest.skip("bookworm has no apptainer")
    made = []

    def make(interface: Interface, **changed: str) -> Containers:
        made.append(Containers(cluster, interface, tmp_path_factory.mktemp("native"), **changed))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def containers(interface: Interface, containers_of: Callable[..., Containers]) -> Containers:
    """What submits native jobs through the interface."""
    return containers_of(interface)


@pytest.fixture(scope="session")
def overlong_jobs(request: pytest.FixtureRequest, service_of: Callable[[str], Service]) -> Mapping[str, Sent]:
    """For each interface a job that Slurm ends at its walltime, a minute or more after it was sent."""
    devices = ["exclusive=False", "sbatch_nodelist=n3"]
    text = script("sleep 600", devices=devices, JOBOBJ_WALLTIME="00:01:00")
    wanted = {str(item.callspec.params["interface"]) for item in _about_overlong_jobs(request)}
    return {name: service_of(name).submit(form(text)) for name in wanted}


@pytest.fixture(scope="package", autouse=True)
def head_start(request: pytest.FixtureRequest, bearers_that_slurm_takes: None) -> None:
    """Sends the jobs that take a minute before the first test, so that nobody waits for them at the end."""
    if _about_overlong_jobs(request):
        request.getfixturevalue("overlong_jobs")


def _about_overlong_jobs(request: pytest.FixtureRequest) -> list[pytest.Function]:
    items = request.session.items
    return [
        item for item in items if isinstance(item, pytest.Function) and "overlong_jobs" in item.fixturenames
    ]
