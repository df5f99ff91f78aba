"""A job that takes too long. It was sent before the first test of all; see ``head_start``."""

from __future__ import annotations

from collections.abc import Mapping

from tests.harness.interface import Interface
from tests.harness.service import Sent, Service


def test_a_job_that_exceeds_its_walltime_ends_with_minus_9(
    service: Service, overlong_jobs: Mapping[str, Sent], interface: Interface
) -> None:
    ended = service.exit_of(overlong_jobs[interface.name], seconds=180)
    assert (ended.code, ended.state) == (-9, "TIMEOUT")
    assert ended.elapsed >= "00:01:00"
