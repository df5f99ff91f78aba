"""A squeue that fails says nothing about the jobs, so the upstream gets a 5xx, whatever the text."""

from __future__ import annotations

import pytest

from pipeline.errors import Unavailable
from pipeline.slurm.commands import Squeue
from pipeline.transport import Completed


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "slurm_load_jobs error: Access/permission denied",
        "slurm_load_jobs error: Invalid job id specified",
        "squeue: error: Invalid user id: 2001",
        "",
    ],
)
def test_a_failed_squeue_is_never_the_callers_fault(said: str) -> None:
    with pytest.raises(Unavailable, match="squeue"):
        Squeue("jarvice_").parse(Completed(1, b"", said.encode()))
