"""A service without any SSH: jobs are submitted and managed through slurmrestd."""

from __future__ import annotations

from collections.abc import Callable

import jwt
import pytest

from tests.harness.fake_slurmrestd import KEY, FakeSlurmrestd, error, instead, token
from tests.harness.forms import form, script
from tests.harness.service import Service
from tests.harness.waiting import eventually

SERVICE_TOKEN = token("jarvice")
KIRBY = token("kirby")


@pytest.fixture
def service(slurmrestd: FakeSlurmrestd, start_service: Callable[..., Service]) -> Service:
    own = {"JARVICE_SLURM_SERVICE_TOKEN": SERVICE_TOKEN, "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1"}
    return start_service(slurmrestd.environment | own)


def test_a_job_from_its_submission_to_its_end(service: Service, slurmrestd: FakeSlurmrestd) -> None:
    sent = service.submit(form(script("echo"), bearer=KIRBY))
    job = slurmrestd.jobs[int(sent.job_id)]
    assert (job.name, job.user) == (f"jarvice_{sent.name}", "kirby")
    eventually(lambda: service.queued() == {sent.name: sent.job_id}, seconds=10, pause=0.05)
    assert service.post("/release", sent.ref).json() is True
    job.state = ["RUNNING"]
    eventually(lambda: service.running() == {sent.name: sent.job_id}, seconds=10, pause=0.05)
    reply = service.post(f"/request/{sent.name}/{sent.number}/{sent.job_id}/tail", {"qs": {}})
    assert reply.status_code == 404
    assert "JARVICE_SLURM_SERVICE_TOKEN" in reply.json()["error"]
    assert service.post("/terminate", sent.ref).json() is True
    ended = service.exit_of(sent, seconds=10)
    assert (ended.code, ended.state) == (-15, "CANCELLED")
    assert ended.output.startswith("<< the job's output cannot be read: ")
    assert {asked.what for asked in slurmrestd.calls("GET jobs")} == {"GET jobs/state"}


@pytest.mark.parametrize(
    ("bearer", "status", "words"),
    [
        (token("kirby", exp=1_700_000_000), 401, "the bearer token has expired at 2023-11-14T22:13:20Z"),
        (jwt.encode({"sun": "kirby"}, "x" * 32, algorithm="HS256"), 401, "Protocol authentication error"),
        (jwt.encode({"email": "kirby@example.com"}, KEY), 403, "JARVICE_SLURMRESTD_USER_CLAIM"),
        (token("kirby; rm -rf /"), 403, "is not the name of a user"),
        ("no token", 400, "bearer: is not a JSON Web Token"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    service: Service, slurmrestd: FakeSlurmrestd, bearer: str, status: int, words: str
) -> None:
    reply = service.post("/submit", form(script("echo"), bearer=bearer))
    assert reply.status_code == status, reply.text
    assert words in reply.json()["error"]
    assert slurmrestd.jobs == {}


@pytest.mark.parametrize(
    ("number", "text", "status"),
    [
        (2045, "Invalid account or account/partition combination specified", 403),
        (2000, "Invalid partition name specified", 400),
        (6010, "Rejecting authentication of user nobody or group nobody", 403),
        (5004, "Socket timed out on send/recv operation", 503),
    ],
)
def test_slurms_own_words_reach_the_upstream(
    service: Service, slurmrestd: FakeSlurmrestd, number: int, text: str, status: int
) -> None:
    refusal = error(number, text, 500)
    slurmrestd.faults["POST job/submit"] = [instead(refusal.status, refusal.body)]
    reply = service.post("/submit", form(script("echo"), bearer=KIRBY))
    assert reply.status_code == status, reply.text
    assert text in reply.json()["error"]


def test_tokens_are_in_no_log(service: Service, slurmrestd: FakeSlurmrestd) -> None:
    forged = jwt.encode({"sun": "kirby"}, "x" * 32, algorithm="HS256")
    slurmrestd.faults["POST job/submit"] = [lambda do: None]
    for bearer in (KIRBY, forged):
        service.post("/submit", form(script("echo"), bearer=bearer))
    service.running()
    log = service.log()
    assert "POST /submit" in log
    for each in (KIRBY, forged, SERVICE_TOKEN):
        assert each not in log
        assert each.rpartition(".")[2] not in log


def test_a_service_whose_slurmrestd_is_away_says_so(service: Service, slurmrestd: FakeSlurmrestd) -> None:
    assert service.get("/gc").json() == {"status": "OK"}
    slurmrestd.slurmctld_is_up = False
    reply = service.get("/gc")
    assert reply.status_code == 500
    assert "slurmctld does not answer" in reply.json()["error"]
