"""The whole way of a job, as the upstream sees it."""

from __future__ import annotations

import re

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.service import Service
from tests.harness.waiting import eventually


def test_two_users_run_two_node_jobs_at_the_same_time(service: Service, cluster: Cluster) -> None:
    body = 'echo "task $PROCESS_PROCID"; [ "$PROCESS_PROCID" = 0 ] && sleep 4; echo JARVICE_CMD_SUCCESS'
    jobs = {user: service.submit(form(script(body), user=user, nodes=2)) for user in ("kirby", "mario")}
    for job in jobs.values():
        assert job.name in service.queued() | service.running()
    for user, job in jobs.items():
        eventually(lambda job=job: job.name in service.running(), what=f"{user}'s job running")
        eventually(lambda job=job: "task 1" in service.tail(job), what=f"output of {user}'s job")
    for user, job in jobs.items():
        ended = service.exit_of(job)
        assert ended.code == 0
        assert ended.termination == "<< termination state: COMPLETED -- see STDOUT for job errors >>"
        assert re.fullmatch(r"00:00:\d\d", ended.elapsed)
        assert sorted(line for line in ended.output.splitlines() if line.startswith("task")) == [
            "task 0",
            "task 1",
        ]
        assert not list(cluster.home(user).glob(f".jarvice/**/*{job.name}*"))
        assert service.exit_of(job) == ended
