"""A service with the local connector, shared by the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.service import Service

LOCAL = {
    "JARVICE_BAREMETAL_CONNECTOR": "local",
    "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1",
    "JARVICE_DOWNSTREAM_LOCAL_SLOTS": "4",
}


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Runs up to four jobs at a time on this machine."""
    service = Service(tmp_path_factory.mktemp("local"), LOCAL).start()
    yield service
    service.stop()
