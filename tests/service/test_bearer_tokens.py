"""Bearer tokens over HTTP: a forged one is 401 and no job, whatever the provider of keys does meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
import requests

from tests.harness.forms import bearer, form, script
from tests.harness.oidc import IdentityProvider, SigningKey, identity_provider
from tests.harness.service import Service, free_port
from tests.service.conftest import LOCAL
from tests.service.test_start_and_end import start

HELLO = script("echo ran")
KEYS_URL = "JARVICE_DOWNSTREAM_BEARER_KEYS_URL"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as found:
        yield found


@pytest.fixture(scope="module")
def service(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        **LOCAL,
        KEYS_URL: provider.jwks_url,
        "JARVICE_DOWNSTREAM_BEARER_ISSUER": provider.issuer,
        "JARVICE_DOWNSTREAM_BEARER_AUDIENCE": "account",
        "JARVICE_SCHED_SERVER_KEY": "jarvice:hunter2",
    }
    service = Service(tmp_path_factory.mktemp("verified"), settings)
    service.http.auth = ("jarvice", "hunter2")
    yield service.start()
    service.stop()


def sent(service: Service, token: str) -> requests.Response:
    """The answer to a job with this bearer; it must not be one that was refused and runs all the same."""
    reply = service.post("/submit", form(HELLO, bearer=token))
    if reply.status_code != 200:
        assert service.queued() | service.running() == {}
        assert token not in reply.text
        assert token not in service.log()
    return reply


def test_a_token_of_the_provider_is_its_users(service: Service, provider: IdentityProvider) -> None:
    assert "bearer tokens are verified; iss must be http://127.0.0.1:" in service.log()
    assert "keys of bearer tokens: fetched 1 (kid " in service.log()
    for text in (provider.token("kirby"), f"Bearer {provider.token('kirby')}"):
        job = service.submit(form(HELLO, bearer=text))
        assert "ran" in service.exit_of(job).output


def test_a_forged_token_is_401_and_no_job(service: Service, provider: IdentityProvider) -> None:
    stranger = SigningKey()
    forged = {
        "of nobody": jwt.encode(provider.claims("kirby"), "", algorithm="none"),
        "with a secret": bearer("kirby@example.com"),
        "of another key": stranger.sign(provider.claims("kirby")),
        "of another key of that name": stranger.sign(provider.claims("kirby"), kid=provider.key.id),
        "with a key in it": stranger.sign(provider.claims("kirby"), jwk=stranger.jwk()),
        "of another realm": provider.token("kirby", iss="https://elsewhere.example.com"),
        "for somebody else": provider.token("kirby", aud="grafana"),
        "expired": provider.token("kirby", lifetime=-3600),
        "without an end": provider.token("kirby", exp=None),
    }
    for what, token in forged.items():
        reply = sent(service, token)
        assert reply.status_code == 401, what
        assert reply.json()["error"].startswith("bearer: the token"), what
        assert reply.headers["WWW-Authenticate"] == 'Bearer realm="downstream", error="invalid_token"'


def test_other_ways_to_be_wrong(service: Service, provider: IdentityProvider) -> None:
    assert sent(service, "hunter").status_code == 400
    unverified = sent(service, provider.token("kirby", email_verified=False))
    assert unverified.status_code == 403
    stranger = requests.get(f"{service.url}/running", timeout=10)
    assert stranger.status_code == 401
    assert stranger.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_wrong_form_is_told_before_its_token_is_looked_at(
    service: Service, provider: IdentityProvider
) -> None:
    reply = service.post("/submit", form(HELLO, bearer=bearer("x"), name="no name"))
    assert (reply.status_code, reply.json()["error"].split(":")[0]) == (400, "name")


def test_a_provider_that_is_down_does_not_stop_the_start(start_service: Callable[..., Service]) -> None:
    with identity_provider() as provider:
        provider.is_down = True
        service = start_service({**LOCAL, KEYS_URL: provider.jwks_url})
        assert "no job is taken until they are there" in service.log()
        reply = sent(service, provider.token("kirby"))
        assert reply.status_code == 503
        assert "bearer tokens cannot be verified now" in reply.json()["error"]
        assert "Retry-After" in reply.headers


def test_a_file_of_keys_that_changes(start_service: Callable[..., Service], tmp_path: Path) -> None:
    provider = IdentityProvider("https://login.example.com")
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(provider.jwks()))
    service = start_service({**LOCAL, "JARVICE_DOWNSTREAM_BEARER_KEYS_FILE": str(file)})
    assert sent(service, provider.token("kirby")).status_code == 200
    provider.rotate("ES256")
    token = provider.token("kirby")
    assert service.post("/submit", form(HELLO, bearer=token)).status_code == 401
    file.write_text(json.dumps(provider.jwks()))
    assert service.post("/submit", form(HELLO, bearer=token)).status_code == 200


def test_a_start_that_would_let_anybody_in(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        JARVICE_SLURM_INTERFACE="http",
        JARVICE_SLURMRESTD_ROUTE="direct",
        JARVICE_SLURMRESTD_ADDR="https://mg1",
        WAITRESS_BIND_ADDRESS="0.0.0.0",
        WAITRESS_PORT=str(free_port()),
    )
    assert done.returncode == 2
    for words in ("WAITRESS_BIND_ADDRESS: '0.0.0.0'", KEYS_URL, "JARVICE_DOWNSTREAM_BEARER_UNVERIFIED=true"):
        assert words in done.stderr


def test_keys_that_cannot_be_used_are_told_with_all_other_faults(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("hunter2")
    done = start(
        tmp_path,
        JARVICE_DOWNSTREAM_BEARER_KEYS_FILE="keys",
        JARVICE_DOWNSTREAM_BEARER_ALGORITHMS="RS256,HS256",
        JARVICE_DOWNSTREAM_BEARER_CA_FILE="none.pem",
    )
    assert done.returncode == 2
    for words in (
        "JARVICE_DOWNSTREAM_BEARER_KEYS_FILE: keys: is neither a JWKS nor public keys",
        "JARVICE_DOWNSTREAM_BEARER_ALGORITHMS: 'RS256,HS256' is not a list of RS256, ",
        "JARVICE_DOWNSTREAM_BEARER_CA_FILE: none.pem is not a file",
        "JARVICE_SLURM_CLUSTER_ADDR is missing",
    ):
        assert words in done.stderr
    assert "hunter2" not in done.stderr
