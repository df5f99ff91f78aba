"""The whole way of a job, as the upstream sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.harness.cluster import PORTAL_USERS, Cluster
from tests.harness.forms import form, job_name, script
from tests.harness.service import Service


def test_two_users_run_two_node_jobs_at_the_same_time(service: Service, cluster: Cluster) -> None:
    body = 'echo "task $PROCESS_PROCID"; [ "$PROCESS_PROCID" = 0 ] && sleep 4; echo JARVICE_CMD_SUCCESS'
    jobs = {user: service.submit(form(script(body), user=user, nodes=2)) for user in ("kirby", "mario")}
    for job in jobs.values():
        assert job.name in service.queued() | service.running()
    for job in jobs.values():
        service.await_running(job)
        service.await_output(job, "task 1")
    for user, job in jobs.items():
        ended = service.exit_of(job)
        assert ended.code == 0
        assert ended.termination == "<< termination state: COMPLETED -- see STDOUT for job errors >>"
        assert re.fullmatch(r"00:00:\d\d", ended.elapsed)
        assert sorted(line for line in ended.output.splitlines() if line.startswith("task")) == [
            "task 0",
            "task 1",
        ]
        assert not cluster.files(user, job.name)
        assert service.exit_of(job) == ended


def test_a_user_who_is_not_mapped_gets_403_and_nothing_is_sent(service: Service, cluster: Cluster) -> None:
    unsent = form(script("echo JARVICE_CMD_SUCCESS"), user="bowser")
    reply = service.post("/submit", unsent)
    assert reply.status_code == 403
    assert "bowser@example.com" in reply.json()["error"]
    assert reply.json()["job"] == unsent["name"]
    assert not cluster.jobs(unsent["name"])
    assert not [file for user in set(PORTAL_USERS.values()) for file in cluster.files(user, unsent["name"])]


def test_every_node_finds_the_environment_of_the_contract(service: Service) -> None:
    body = 'for name in ${!PROCESS_*} ${!JOB_*}; do echo "$PROCESS_PROCID $name=${!name}"; done'
    job = service.submit(form(script(body, JOBOBJ_GPUS=1), nodes=2))
    lines = service.exit_of(job).output.splitlines()
    for task, node in (("0", "n1"), ("1", "n2")):
        seen = dict(line.split(" ", 1)[1].split("=", 1) for line in lines if line.startswith(f"{task} "))
        assert seen["PROCESS_PROCID"] == task
        assert seen["PROCESS_NODENAME"] == node
        assert seen["JOB_JOBID"] == job.job_id
        assert seen["JOB_JOB_NODELIST"] == "n[1-2]"
        assert seen["JOB_JOB_FORMATED_NODELIST"] == "n1 n2"
        assert seen["JOB_NNODES"] == "2"
        assert seen["JOB_NTASKS"] == "2"
        assert seen["JOB_SUBMIT_DIR"] == "/home/kirby"
        assert seen["JOB_GPUS_PER_NODE"] == "1"
        assert seen["JOB_LOCAL_USER"] == "kirby"


def test_a_scratch_folder_that_users_share_serves_them_all(
    own_service: Callable[..., Service], cluster: Cluster
) -> None:
    scratch = f"/shared/scratch-{job_name()}"
    folders = [f"{scratch}/.jarvice{part}" for part in ("", "/control", "/jobs")]
    cluster.run("install", "--directory", "--mode=1777", *folders)
    service = own_service(JARVICE_JOB_SCRATCH_DIR=scratch)
    body = 'echo "$JARVICE_JOB_SCRATCH_DIR $0"; mkdir "$JARVICE_JOB_SCRATCH_DIR.jarvice/jobs/$JOB_JOBID"'
    for job in [service.submit(form(script(body), user=user)) for user in ("kirby", "mario")]:
        ended = service.exit_of(job)
        assert (ended.code, ended.output) == (0, f"{scratch}/ {scratch}/.jarvice/control/{job.name}/job.sh\n")
    assert not cluster.run("find", scratch, "-mindepth", "3").strip()
    cluster.run("rm", "-r", scratch)
