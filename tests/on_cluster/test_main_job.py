"""The whole way of a job, as the upstream sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.harness.cluster import PORTAL_USERS, Cluster
from tests.harness.forms import form, job_name, script
from tests.harness.interface import Interface
from tests.harness.service import Service
from tests.on_cluster.outage import tell
from tests.on_cluster.ways import also_managed, only_cli, only_http


@also_managed
def test_two_users_run_two_node_jobs_at_the_same_time(service: Service, interface: Interface) -> None:
    body = (
        'echo "task $PROCESS_PROCID"; until [ -e "${0%/*}/go" ]; do sleep 0.1; done; echo JARVICE_CMD_SUCCESS'
    )
    jobs = {user: service.submit(form(script(body), user=user, nodes=2)) for user in ("kirby", "mario")}
    for job in jobs.values():
        assert job.name in service.queued() | service.running()
    for job in jobs.values():
        service.await_running(job)
        if interface.shows_output:
            service.await_output(job, "task 1")
    for user, job in jobs.items():
        tell(interface, job, user)
    for user, job in jobs.items():
        ended = service.exit_of(job)
        assert ended.code == 0
        assert ended.termination == "<< termination state: COMPLETED -- see STDOUT for job errors >>"
        assert re.fullmatch(r"00:00:\d\d", ended.elapsed)
        tasks = sorted(line for line in ended.output.splitlines() if line.startswith("task"))
        assert tasks == (["task 0", "task 1"] if interface.shows_output else [])
        if interface.removes_files:
            assert not interface.files(user, job.name)
        assert service.exit_of(job) == ended


def test_a_user_whom_the_cluster_does_not_know_gets_403_and_nothing_is_sent(
    service: Service, interface: Interface, cluster: Cluster
) -> None:
    unsent = form(script("echo JARVICE_CMD_SUCCESS"), user="bowser")
    reply = service.post("/submit", unsent)
    assert reply.status_code == 403
    assert "bowser" in reply.json()["error"]
    assert reply.json()["job"] == unsent["name"]
    assert not cluster.jobs(unsent["name"])
    users = set(PORTAL_USERS.values())
    assert not [file for user in users for file in interface.files(user, unsent["name"])]


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


@only_http
def test_files_that_the_entry_user_cannot_remove_stay_and_the_log_says_so(
    own_service: Callable[..., Service], cluster: Cluster
) -> None:
    scratch = f"/shared/scratch-{job_name()}"
    folders = [f"{scratch}/.jarvice{part}" for part in ("", "/control", "/jobs")]
    cluster.run("install", "--directory", "--mode=1777", *folders)  # without the ACL
    service = own_service(JARVICE_JOB_SCRATCH_DIR=scratch)
    job = service.submit(form(script("echo fine"), user="mario"))
    ended = service.exit_of(job)
    assert (ended.code, ended.output) == (0, "fine\n")
    stay = (
        f"job {job.name} ({job.job_id}): its files stay: they cannot be removed by the user who manages jobs"
    )
    assert stay in service.log()
    left = cluster.run("find", f"{scratch}/.jarvice", "-type", "f", "-printf", "%f\\n").split()
    assert sorted(left) == sorted([f"{job.name}.out", "begun", "exit", "last-output", "started"])
    cluster.run("rm", "-r", scratch)


@only_http
def test_output_that_the_entry_user_cannot_read_is_told_in_its_place(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(JARVICE_JOB_SCRATCH_DIR="")
    job = service.submit(form(script("echo fine; exit 3")))
    ended = service.exit_of(job)
    assert (ended.code, ended.state) == (1, "FAILED")
    assert f"/home/kirby/.jarvice/{job.name}.out cannot be read" in ended.output
    tail = service.post(f"/request/{job.name}/{job.number}/{job.job_id}/tail", {"qs": {}})
    assert tail.status_code == 404
    assert "Permission denied" in tail.json()["error"]


@only_cli  # through slurmrestd all of the tests' jobs have such a folder
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
    left = sorted(cluster.run("find", scratch, "-mindepth", "1").split())
    assert left == sorted(folders)
    cluster.run("rm", "-r", scratch)
