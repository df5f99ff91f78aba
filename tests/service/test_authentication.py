"""HTTP Basic: the upstream's login, and probes that carry none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.keys import b64
from tests.harness.secret_files import write_secret
from tests.harness.service import Service
from tests.service.conftest import LOCAL

KEY = ("jarvice", "päss:word")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("with-key")
    write_secret(folder / "key", ":".join(KEY) + "\n")
    service = Service(folder, {**LOCAL, "JARVICE_SCHED_SERVER_KEY_FILE": str(folder / "key")}).start()
    yield service
    service.stop()


def status(service: Service, path: str, login: tuple[str, str] | None) -> int:
    basic = b64(":".join(login)) if login else None
    headers = {"Authorization": f"Basic {basic}"} if basic else {}
    return service.http.get(service.url + path, headers=headers, timeout=10).status_code


WRONG = [None, ("", ""), ("jarvice", "wrong"), ("päss", "jarvice"), (KEY[0], KEY[1] + "x")]
OTHER_KINDS = ["Bearer x", "Basic", "Basic !!!", "Basic \xff", "Digest username=jarvice"]


@pytest.mark.parametrize("path", ["/live", "/ready"])
def test_probes_are_open(service: Service, path: str) -> None:
    assert status(service, path, None) == 200


@pytest.mark.parametrize("path", ["/running", "/queued", "/gc", "/nodes", "/nothing"])
@pytest.mark.parametrize(
    "login", [None, ("", ""), ("jarvice", "wrong"), ("päss", "jarvice"), (KEY[0], KEY[1] + "x")]
)
def test_all_else_needs_the_login(service: Service, path: str, login: tuple[str, str] | None) -> None:
    assert status(service, path, login) == 401


def test_the_right_login_is_let_in(service: Service) -> None:
    assert status(service, "/running", KEY) == 200


def test_without_a_login_nothing_is_looked_at(service: Service) -> None:
    reply = service.http.post(f"{service.url}/submit", data={"args": "{"}, timeout=10)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"].startswith("Basic ")
    assert "JARVICE_SCHED_SERVER_KEY" in reply.json()["error"]


@pytest.mark.parametrize(
    "header", ["Bearer x", "Basic", "Basic !!!", "Basic \xff", "Digest username=jarvice"]
)
def test_headers_of_other_kinds_are_refused(service: Service, header: str) -> None:
    reply = service.http.get(
        f"{service.url}/running", headers={"Authorization": header.encode("latin-1")}, timeout=10
    )
    assert reply.status_code == 401


def test_the_key_is_not_in_the_log(service: Service) -> None:
    status(service, "/running", KEY)
    assert KEY[1] not in service.log()
