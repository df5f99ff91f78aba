"""The ways to slurmrestd: through SSH or straight, plain or with TLS."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.certificates import Authority
from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import http
from tests.harness.recording_proxy import RecordingProxy, recording_proxy
from tests.harness.service import Service, free_port
from tests.harness.slurmrestd import at, straight_at

Start = Callable[..., Service]
TlsProxy = Callable[[ssl.SSLContext], AbstractContextManager[RecordingProxy]]


@pytest.fixture(params=["ssh", "direct"])
def route(request: pytest.FixtureRequest) -> str:
    """Through the entry user's SSH connection, from the cluster's head; or straight from this machine."""
    return str(request.param)


@pytest.fixture
def host(route: str, cluster: Cluster) -> str:
    """What slurmrestd is called where that way begins."""
    return urlsplit(cluster.inside_url if route == "ssh" else cluster.url).hostname or ""


@pytest.fixture
def start(route: str, cluster: Cluster, start_service: Start) -> Start:
    """Starts a service that is told where slurmrestd is."""

    def started(url: str, **more: str) -> Service:
        place = at(url) if route == "ssh" else straight_at(url)
        return start_service({**http(cluster).settings, **place, **more})

    return started


@pytest.fixture
def tls_proxy(route: str, cluster: Cluster) -> TlsProxy:
    """Makes a proxy with TLS at the end of that way."""
    return lambda tls: recording_proxy(cluster, tls=tls, inside=route == "ssh")


def submits(service: Service, user: str) -> bool:
    """Whether a job of this user is taken, as this user's."""
    job = service.submit(form(script("echo"), user=user, held=True))
    said = service.post("/events", job.ref).json()
    service.post("/terminate", job.ref)
    return f"UserId={user}(" in said


def test_a_job_goes_either_way(route: str, cluster: Cluster, start: Start) -> None:
    """The nodes' url does not lead anywhere from this machine, nor does this machine's from the nodes."""
    service = start(cluster.inside_url if route == "ssh" else cluster.url)
    assert submits(service, "mario")
    assert "the cluster answers" in service.log()


def test_through_ssh_is_the_default_way(cluster: Cluster, start_service: Start) -> None:
    settings = http(cluster).settings
    assert "JARVICE_SLURMRESTD_ROUTE" not in settings
    assert submits(start_service(settings), "kirby")


def test_tls_with_an_authority_of_the_sites_own(
    host: str, start: Start, tls_proxy: TlsProxy, tmp_path: Path
) -> None:
    site = Authority(tmp_path)
    with tls_proxy(site.server(host)) as proxy:
        service = start(f"https://{host}:{proxy.port}", JARVICE_SLURMRESTD_CA_FILE=str(site.ca_file))
        assert submits(service, "kirby")
        assert submits(service, "mario")
        assert service.get("/gc").ok
    assert sum(path.endswith("/job/submit") for path in proxy.paths()) == 2


@pytest.mark.parametrize("trusted", ["nobody of the site", "another authority"])
def test_a_server_that_nobody_vouches_for_gets_no_token(
    trusted: str, host: str, start: Start, tls_proxy: TlsProxy, tmp_path: Path
) -> None:
    ca_file = str(Authority(tmp_path / "other").ca_file) if trusted == "another authority" else ""
    with tls_proxy(Authority(tmp_path).server(host)) as proxy:
        url = f"https://{host}:{proxy.port}"
        service = start(url, JARVICE_SLURMRESTD_CA_FILE=ca_file)
        reply = service.post("/submit", form(script("echo"), held=True))
        assert reply.status_code == 503
        assert url in reply.json()["error"]
        assert "certificate verify failed" in reply.json()["error"]
    assert proxy.asked == []


def test_a_certificate_of_another_host_is_no_better(
    host: str, start: Start, tls_proxy: TlsProxy, tmp_path: Path
) -> None:
    site = Authority(tmp_path)
    with tls_proxy(site.server("elsewhere")) as proxy:
        url = f"https://{host}:{proxy.port}"
        reply = start(url, JARVICE_SLURMRESTD_CA_FILE=str(site.ca_file)).post(
            "/submit", form(script("echo"), held=True)
        )
        assert reply.status_code == 503
        assert f"{url}: " in reply.json()["error"]
        assert f"not valid for '{host}'" in reply.json()["error"]
    assert proxy.asked == []


def test_nobody_at_the_url_is_503_with_the_url(host: str, start: Start) -> None:
    url = f"http://{host}:{free_port()}"
    service = start(url)
    assert f"the cluster cannot be used now: {url}: " in service.log()
    unwell = service.get("/gc")
    assert (unwell.status_code, unwell.json()["error"].startswith(f"{url}: ")) == (500, True)
    reply = service.post("/submit", form(script("echo"), held=True))
    assert reply.status_code == 503
    assert reply.json()["error"].startswith(f"{url}: ")
    assert re.search("connection refused|connect failed", reply.json()["error"], re.IGNORECASE)
    assert reply.headers["Retry-After"]
