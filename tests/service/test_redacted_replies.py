"""The service's own secrets are in no reply and no line of the log; what else a job says is its user's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.forms import form, script
from tests.harness.keys import b64
from tests.harness.service import Service
from tests.harness.waiting import eventually
from tests.service.conftest import LOCAL

KEY = ("portal", "marked-password-1")
TOKEN = "eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImtpcmJ5In0."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("marked"), {**LOCAL, "JARVICE_SCHED_SERVER_KEY": ":".join(KEY)})
    service.http.auth = KEY
    service.start()
    yield service
    service.stop()


def test_a_job_that_knows_a_secret_of_the_service_does_not_get_it_out(service: Service) -> None:
    sent = service.submit(form(script(f"echo {KEY[1]} {b64(':'.join(KEY))}; echo Bearer {TOKEN}; sleep 60")))
    said = f"******** ********\nBearer {TOKEN}\n"
    eventually(lambda: service.tail(sent) == said, what="the job's output")
    service.post("/terminate", sent.ref)
    assert service.exit_of(sent).output.startswith(said)
    assert KEY[1] not in sent.script


def test_what_somebody_sends_comes_back_in_no_error_and_no_log(service: Service) -> None:
    for path in (f"/request/{KEY[1]}/1/7/ping", f"/{TOKEN}/x", f"/request/2024-a/1/7/{TOKEN}"):
        reply = service.post(path, {})
        assert reply.status_code in (400, 404)
        for secret in (KEY[1], TOKEN):
            assert secret not in reply.text
    eventually(lambda: "/request/" in service.log(), what="the requests in the log")
    for secret in (KEY[1], b64(":".join(KEY)), TOKEN):
        assert secret not in service.log()
