"""How a job ends, for each way that it can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.harness.forms import form, script
from tests.harness.service import Sent, Service


@dataclass(frozen=True)
class Ending:
    """What a job does, and the exit status that follows."""

    body: str
    code: int
    state: str
    nodes: int = 1
    devices: tuple[str, ...] = ("exclusive=False",)


def by_task(first: str, other: str) -> str:
    """One thing on the first node, another on the second."""
    return f'if [ "$PROCESS_PROCID" = 0 ]; then {first}; else {other}; fi'


ENDINGS: dict[str, Ending] = {
    "the first task fails": Ending(by_task("exit 3", "exit 0"), 1, "FAILED", nodes=2),
    "another task fails after the first has succeeded": Ending(
        by_task("exit 0", 'until [ -e "${0%/*}/exit" ]; do sleep 0.1; done; exit 5'), 0, "COMPLETED", nodes=2
    ),
    "another task fails early, the first would go on": Ending(
        by_task("sleep 300", "exit 5"), 1, "FAILED", nodes=2
    ),
    "the last marker is a failure": Ending("/bin/echo JARVICE_CMD_FAILURE", 1, "FAILED"),
    "the last marker is a success": Ending("/bin/echo JARVICE_CMD_SUCCESS", 0, "COMPLETED"),
    "no marker at all": Ending("echo done", 0, "COMPLETED"),
    "xtrace echoes a failure that is not printed": Ending(
        "exec 2>&1; set -x; /bin/echo JARVICE_CMD_SUCCESS; : /bin/echo JARVICE_CMD_FAILURE", 0, "COMPLETED"
    ),
    "xtrace echoes a failure that is printed": Ending(
        "exec 2>&1; set -x; /bin/echo JARVICE_CMD_FAILURE", 1, "FAILED"
    ),
    "another task prints the failure marker": Ending(
        by_task("sleep 1; /bin/echo JARVICE_CMD_SUCCESS", "/bin/echo JARVICE_CMD_FAILURE"),
        0, "COMPLETED", nodes=2,
    ),
    "another task prints the success marker": Ending(
        by_task("/bin/echo JARVICE_CMD_FAILURE", "sleep 1; set -x; /bin/echo JARVICE_CMD_SUCCESS"),
        1, "FAILED", nodes=2,
    ),
    "user text holds the marker's word": Ending('echo "not JARVICE_CMD_FAILURE"', 0, "COMPLETED"),
    "the success marker, then a failing exit": Ending("echo JARVICE_CMD_SUCCESS; exit 3", 1, "FAILED"),
    "a user line is the failure marker, success comes last": Ending(
        "echo JARVICE_CMD_FAILURE; echo more; echo JARVICE_CMD_SUCCESS", 0, "COMPLETED"
    ),
    "a user line is the success marker, failure comes last": Ending(
        "echo JARVICE_CMD_SUCCESS; echo more; echo JARVICE_CMD_FAILURE", 1, "FAILED"
    ),
    "the script kills itself": Ending("kill -KILL $$", 1, "FAILED"),
    "the batch script is killed": Ending(
        'pkill -KILL -f "job0*$JOB_JOBID/slurm_script"; sleep 300', 1, "FAILED"
    ),
    "more memory than asked for": Ending(
        "exec python3 -c 'import time; x = bytearray(300 << 20); time.sleep(300)'",
        1, "FAILED", devices=("exclusive=False", "sbatch_mem=100M"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sent(service: Service) -> Mapping[str, Sent]:
    """All of them at once: most of the time is waiting."""
    return {
        what: service.submit(form(script(ending.body, devices=list(ending.devices)), nodes=ending.nodes))
        for what, ending in ENDINGS.items()
    }


@pytest.mark.parametrize("what", ENDINGS)
def test_a_job_ends_as_its_first_task_says(what: str, sent: Mapping[str, Sent], service: Service) -> None:
    ended, expected = service.exit_of(sent[what]), ENDINGS[what]
    assert (ended.code, ended.state) == (expected.code, expected.state), ended.output
