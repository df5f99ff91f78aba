"""sbatch, squeue and sacct that know the jobs in a file, for lines that are run by real bash."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.bash import Sandbox

SBATCH = r"""
cat >"$CALLS.script"
id=$(($(wc -l <"$CALLS.jobs") + 100))
echo "$id" >>"$CALLS.jobs"
echo "$id"
"""
REFUSES = 'echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2; exit 1'
LOST = (
    'echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1'
)


@pytest.fixture
def slurm(tmp_path: Path) -> Sandbox:
    """A head node: sbatch gives the ids 100, 101, ...; squeue and sacct know no job."""
    sandbox = Sandbox(tmp_path)
    Path(f"{sandbox.environment['CALLS']}.jobs").touch()
    sandbox.command("sbatch", SBATCH)
    sandbox.command("squeue", "exit 0")
    sandbox.command("sacct", "exit 0")
    return sandbox
