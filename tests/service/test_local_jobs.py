"""Jobs of the local connector: the very same batch script, on this machine."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

from tests.harness.forms import form, script
from tests.harness.service import Exit, Sent, Service
from tests.harness.waiting import eventually
from tests.service.conftest import LOCAL


def outcome(service: Service, body: str, *, nodes: int = 1, **keys: object) -> Exit:
    """How a job ends, once it has."""
    return service.exit_of(service.submit(form(script(body, devices=None, **keys), nodes=nodes)))


def running(service: Service, body: str, **fields: Any) -> Sent:
    """A job that has begun."""
    sent = service.submit(form(script(f"echo begun; {body}"), **fields))
    eventually(lambda: "begun" in service.tail(sent), what="the job's output", pause=0.05)
    return sent


def test_a_job_succeeds(local: Service) -> None:
    ended = outcome(local, "echo ran; /bin/echo JARVICE_CMD_SUCCESS")
    assert (ended.code, ended.output) == (0, "ran\nJARVICE_CMD_SUCCESS\n")
    assert ended.state == "COMPLETED"


def test_a_name_is_one_job(local: Service) -> None:
    first = form(script("echo"), held=True)
    job = local.submit(first)
    assert local.submit(first).job_id == job.job_id
    other = local.post("/submit", {**first, "hpc_script": form(script("echo other"))["hpc_script"]})
    assert (other.status_code, f"job {job.job_id}" in other.json()["error"]) == (409, True)
    local.post("/terminate", job.ref)


def test_the_failure_marker_fails_a_job_that_exits_with_0(local: Service) -> None:
    assert outcome(local, "echo JARVICE_CMD_FAILURE; exit 0").code == 1


def test_a_marker_that_xtrace_echoes_is_none(local: Service) -> None:
    body = "set -x; /bin/echo JARVICE_CMD_SUCCESS; echo '+ /bin/echo JARVICE_CMD_FAILURE'"
    assert outcome(local, body).code == 0


def test_the_first_tasks_exit_code_fails_the_job(local: Service) -> None:
    ended = outcome(local, '[ "$PROCESS_PROCID" != 0 ] || exit 3', nodes=2)
    assert (ended.code, ended.state) == (1, "FAILED")


def test_each_node_runs_the_script_once_with_its_rank(local: Service) -> None:
    ended = outcome(local, 'echo "$PROCESS_PROCID $PROCESS_NODENAME $JOB_JOB_FORMATED_NODELIST"', nodes=2)
    assert sorted(ended.output.splitlines()) == ["0 local1 local1 local2", "1 local2 local1 local2"]


def test_the_environment_is_the_contracts(local: Service) -> None:
    wanted = {
        "PROCESS_PROCID": "0",
        "PROCESS_NODENAME": "local1",
        "JOB_JOB_NODELIST": "local1",
        "JOB_JOB_FORMATED_NODELIST": "local1",
        "JOB_NNODES": "1",
        "JOB_GPUS_PER_NODE": "",
        "JOB_LOCAL_USER": getpass.getuser(),
        "JARVICE_CMD": "aGVsbG8=",
        "JARVICE_APP_IMAGE": "docker://ubuntu",
        "JARVICE_SINGULARITY_OVERLAY_SIZE": "600",
        "JARVICE_JOB_APP_IS_IN_GLOBAL_REGISTRIES": "False",
        "SV": "false",
        "SV_FLAG": "-s",
    }
    sent = local.submit(form(script("env", JARVICE_CMD="aGVsbG8=")))
    lines = local.exit_of(sent).output.splitlines()
    got = dict(line.split("=", 1) for line in lines if "=" in line)
    assert {key: got.get(key) for key in wanted} == wanted
    assert got["JOB_JOBID"] == sent.job_id


def test_nothing_of_the_services_environment_gets_into_a_job(local: Service) -> None:
    output = outcome(local, "env").output
    assert "WAITRESS" not in output
    assert "JARVICE_BAREMETAL_CONNECTOR" not in output


def test_output_may_be_any_text(local: Service) -> None:
    assert outcome(local, "printf 'ü ✓ \\377 no end'").output == "ü ✓ \ufffd no end"


def test_a_job_that_takes_longer_than_its_walltime_is_ended(local: Service) -> None:
    ended = outcome(local, "sleep 60", JOBOBJ_WALLTIME="00:00:01")
    assert (ended.code, ended.state) == (-9, "TIMEOUT")


def test_a_time_that_only_slurm_would_understand_is_the_callers_fault(local: Service) -> None:
    for option in ("time=1-00", "nodes=1-2", "ntasks=many"):
        reply = local.post("/submit", form(script("echo", devices=["exclusive=False", f"sbatch_{option}"])))
        assert reply.status_code == 400, reply.text


def test_jobs_wait_for_a_free_slot_in_their_order(start_service: Callable[..., Service]) -> None:
    service = start_service({**LOCAL, "JARVICE_DOWNSTREAM_LOCAL_SLOTS": "1"})
    first = running(service, "sleep 60")
    second, third = (service.submit(form(script("echo ran"))) for _ in range(2))
    assert {second.name, third.name} <= set(service.queued())
    service.post("/terminate", second.ref)
    assert service.exit_of(second).code == -15
    service.post("/terminate", first.ref)
    assert service.exit_of(third).output == "ran\n"


def test_nothing_of_a_collected_job_is_left(local: Service) -> None:
    body = 'mkdir -p ".jarvice/jobs/$JOB_JOBID"; touch ".jarvice/jobs/$JOB_JOBID/x"'
    sent = local.submit(form(script(body)))
    local.exit_of(sent)
    names = [path.name for path in local.folder.rglob("*")]
    assert not [name for name in names if sent.name in name or sent.job_id in name]
