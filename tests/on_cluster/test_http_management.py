"""Jobs that are managed through slurmrestd with a service token, where a site gives no SSH at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.recording_proxy import RecordingProxy, recording_proxy
from tests.harness.secret_files import write_secret
from tests.harness.service import Service
from tests.harness.slurmrestd import straight_at, token
from tests.harness.waiting import eventually
from tests.on_cluster.outage import tell, until_told

POLLS = re.compile(r"GET /slurm/v0\.0\.[0-9]+/jobs/state")


@dataclass(frozen=True)
class Site:
    """A service that knows slurmrestd, through a proxy, and a service token in a file; nothing else."""

    interface: Interface
    service: Service
    proxy: RecordingProxy
    token_file: Path

    def polls(self) -> int:
        """How often the states of jobs were asked for."""
        return sum(POLLS.fullmatch(path) is not None for path in self.proxy.paths())

    def await_polls(self, count: int) -> None:
        """Return after so many more."""
        until = self.polls() + count

        def enough() -> bool:
            self.service.running()
            return self.polls() >= until

        eventually(enough, what=f"{count} polls")

    def questions_about(self, job_id: str) -> int:
        """How often a single job was asked for."""
        about = re.compile(rf"GET /slurm/v0\.0\.[0-9]+/job/{job_id}")
        return sum(about.fullmatch(path) is not None for path in self.proxy.paths())


@pytest.fixture(scope="module")
def polled(cluster: Cluster) -> None:
    if cluster.variant == "bookworm":
        pytest.skip("slurmrestd of Slurm 22.05 does not have what polls need")


@pytest.fixture(scope="module")
def site(
    interface_of: Callable[[str], Interface], cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("managed")
    token_file = folder / "service-token"
    write_secret(token_file, cluster.token("jarvice"))
    interface = interface_of("http-managed")
    settings = {
        key: value for key, value in interface.settings.items() if key != "JARVICE_SLURM_SERVICE_TOKEN"
    }
    with recording_proxy(cluster) as proxy:
        service = Service(
            folder,
            {
                **settings,
                **straight_at(f"http://127.0.0.1:{proxy.port}"),
                "JARVICE_SLURM_SERVICE_TOKEN_FILE": str(token_file),
            },
        ).start()
        yield Site(interface, service, proxy, token_file)
        service.stop()


@pytest.mark.usefixtures("polled")
def test_a_job_from_its_submission_to_its_exit_status(site: Site) -> None:
    service = site.service
    args = form(until_told("exit 3"), user="mario", nodes=2, held=True)
    job = service.submit(args)
    assert service.queued()[job.name] == job.job_id
    assert service.submit(args).job_id == job.job_id
    events = json.loads(service.post("/events", job.ref).json())
    assert (events["user_name"], events["name"]) == ("mario", f"jarvice_{job.name}")
    assert service.post("/release", job.ref).json() is True
    service.await_running(job)
    nodes, _, path, _ = service.post("/runstatus", job.ref).json()
    assert (len(set(nodes)), path) == (2, f"{job.name}/{job.number}/{job.job_id}")
    assert service.post("/exitstatus", job.ref).status_code == 409
    tail = service.post(f"/request/{path}/tail", {})
    assert tail.status_code == 404
    assert "JARVICE_SLURM_SERVICE_TOKEN" in tail.json()["error"]
    tell(site.interface, job)
    end = service.exit_of(job)
    assert (end.code, end.state) == (1, "FAILED")
    assert job.name not in service.running() | service.queued()


@pytest.mark.usefixtures("polled")
@pytest.mark.parametrize("held", [True, False])
def test_a_job_is_terminated_queued_or_running(held: bool, site: Site) -> None:
    job = site.service.submit(form(script("sleep 300"), held=held))
    if not held:
        site.service.await_running(job)
    assert site.service.post("/terminate", job.ref).json() is True
    assert site.service.exit_of(job).code == -15
    assert site.service.post("/terminate", job.ref).json() is True


@pytest.mark.usefixtures("polled")
def test_polls_ask_for_a_job_only_when_it_has_news(site: Site, cluster: Cluster) -> None:
    ours = site.service.submit(form(script("sleep 300"), held=True))
    foreign = cluster.run(
        *("runuser", "-u", "kirby", "--", "sbatch", "--parsable", "--hold", "--chdir=/tmp", "--wrap=true")
    ).strip()
    site.await_polls(4)
    assert site.questions_about(ours.job_id) == 1
    assert site.questions_about(foreign) == 1
    cluster.run("scancel", foreign)
    assert site.service.post("/release", ours.ref).ok
    site.service.await_running(ours)
    site.await_polls(2)
    assert site.questions_about(foreign) == 1, "a job that is not ours has no news"
    site.service.post("/terminate", ours.ref)
    assert site.service.exit_of(ours).code == -15


@pytest.mark.usefixtures("polled")
def test_an_expired_service_token_is_named_and_a_new_one_is_taken_at_once(
    site: Site, cluster: Cluster
) -> None:
    service = site.service
    job = service.submit(form(script("sleep 300"), held=True))
    try:
        site.token_file.write_text(token(cluster, lifetime=-60, sun="jarvice"))
        eventually(lambda: not service.get("/queued").ok, what="the first error")
        for reply in (service.get("/queued"), service.post("/terminate", job.ref)):
            assert reply.status_code == 503
            assert "JARVICE_SLURM_SERVICE_TOKEN is not accepted" in reply.json()["error"]
        unwell = service.get("/gc")
        assert unwell.status_code == 500
        assert "slurmctld does not answer" in unwell.json()["error"]
        assert "or not who has this token" in unwell.json()["error"]
    finally:
        site.token_file.write_text(cluster.token("jarvice"))
    eventually(lambda: service.get("/queued").ok, seconds=10, what="well again")
    assert service.get("/gc").ok
    assert service.queued()[job.name] == job.job_id
    assert service.post("/terminate", job.ref).json() is True
    assert service.exit_of(job).code == -15


@pytest.mark.usefixtures("polled")
def test_nothing_that_lists_all_jobs_was_asked_for(site: Site) -> None:
    """By all that the tests above have done."""
    site.service.running()
    changing = re.compile(r"v0\.0\.[0-9]+/|(?<=/job/)[0-9]+|(?<=job_id=)[0-9]+")
    kinds = {changing.sub("", path) for path in site.proxy.paths()}
    assert kinds <= {
        "GET /slurm/ping",
        "GET /slurm/jobs/state",
        "GET /slurm/jobs/state?job_id=",
        "GET /slurm/job/",
        "GET /slurmdb/job/",
        "POST /slurm/job/submit",
        "POST /slurm/job/",
        "DELETE /slurm/job/",
    }


@pytest.mark.usefixtures("polled")
def test_no_token_is_in_the_log(site: Site) -> None:
    secrets = {part for asked in site.proxy.asked for part in asked.token.split(".")[1:]}
    assert secrets
    assert not [secret for secret in secrets if secret in site.service.log()]


def test_where_slurmrestd_cannot_say_the_states_of_jobs_this_is_told(
    interface_of: Callable[[str], Interface], cluster: Cluster, start_service: Callable[..., Service]
) -> None:
    """Slurm 22.05 is of that kind; what a newer one has for it is hidden."""
    with recording_proxy(cluster) as proxy:
        proxy.leads = lambda path: path.replace("/jobs/state", "/jobs/nosuch/path")
        url = f"http://127.0.0.1:{proxy.port}"
        service = start_service({**interface_of("http-managed").settings, **straight_at(url)})
        told = "slurmrestd does not know what managing jobs needs (jobs/state, of Slurm 24.05 and newer)"
        assert f"the cluster cannot be used now: {told}" in service.log()
        unwell = service.get("/gc")
        assert (unwell.status_code, unwell.json()["error"].startswith(told)) == (500, True)
        for reply in (service.get("/running"), service.post("/submit", form(script("echo")))):
            assert (reply.status_code, reply.json()["error"].startswith(told)) == (503, True)
    assert not any(path.endswith("/job/submit") for path in proxy.paths())
