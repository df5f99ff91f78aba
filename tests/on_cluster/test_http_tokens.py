"""Whose job it is, as Slurm itself reads the bearer token, and what is said of one that it does not take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.harness.cluster import Cluster
from tests.harness.forms import bearer, form, script
from tests.harness.interface import http
from tests.harness.oidc import IdentityProvider, identity_provider
from tests.harness.service import Service
from tests.harness.slurmrestd import token

SUCCESS = script("echo JARVICE_CMD_SUCCESS")


@pytest.fixture(scope="module")
def service(service_of: Callable[[str], Service]) -> Service:
    """The one that submits through slurmrestd."""
    return service_of("http")


def refusal(service: Service, bearer_token: str, text: str = SUCCESS) -> tuple[int, str]:
    """The status and the error of a submission that is not taken; the token is in neither, nor logged."""
    args = form(text, bearer=bearer_token)
    reply = service.post("/submit", args)
    assert not reply.ok
    assert reply.json()["job"] == args["name"]
    for secret in bearer_token.split("."):
        assert secret not in reply.text + service.log()
    return reply.status_code, reply.json()["error"]


def not_taken(cluster: Cluster) -> str:
    """What Slurm says of a token that it does not take; slurmrestd of 22.05 does not get to hear why."""
    return (
        "Zero Bytes were transmitted or received"
        if cluster.variant == "bookworm"
        else "Protocol authentication error"
    )


def test_a_token_of_slurms_own_is_taken(service: Service, cluster: Cluster) -> None:
    job = service.submit(form(SUCCESS, bearer=cluster.token("mario")))
    assert service.exit_of(job).code == 0
    assert cluster.jobs(job.name) == [(job.job_id, "mario")]


def test_an_expired_token_is_401_and_told_since_when(service: Service, cluster: Cluster) -> None:
    status, error = refusal(service, token(cluster, lifetime=-60, sun="kirby"))
    assert status == 401
    assert not_taken(cluster) in error
    assert "the bearer token has expired at 20" in error


def test_a_token_of_another_signer_is_401(service: Service, cluster: Cluster) -> None:
    genuine = token(cluster, sun="kirby").split(".")
    forged = [*genuine[:2], token(cluster, sun="mario").split(".")[2]]
    status, error = refusal(service, ".".join(forged))
    assert (status, not_taken(cluster) in error) == (401, True)
    assert "expired" not in error


def test_a_token_that_names_no_user_is_403(service: Service) -> None:
    status, error = refusal(service, bearer("kirby@example.com"))
    assert status == 403
    assert "sun or preferred_username" in error


def test_a_user_that_the_cluster_does_not_know_is_403(service: Service, cluster: Cluster) -> None:
    status, error = refusal(service, token(cluster, sun="luigi"))
    assert status == 403
    assert "the cluster has no user 'luigi'" in error


def test_slurm_itself_refuses_an_unknown_user_where_nobody_else_looks(
    cluster: Cluster, start_service: Callable[..., Service]
) -> None:
    service = start_service({**http(cluster).settings, "JARVICE_SLURM_USER_HOME": "/home/%u"})
    status, error = refusal(service, token(cluster, sun="luigi"))
    assert status == 403
    assert any(
        words in error
        for words in (
            "Invalid account or account/partition combination specified",
            "Rejecting authentication of user nobody",  # since 25.05
        )
    )


@pytest.mark.parametrize("no_token", ["", "kirby", "a.b.c", "Basic a2lyYnk6", "a\nX-SLURM-USER-NAME: root"])
def test_what_is_no_token_is_400_and_not_sent(no_token: str, service: Service) -> None:
    reply = service.post("/submit", form(SUCCESS, bearer=no_token))
    assert reply.status_code == 400, reply.text
    assert "bearer" in reply.json()["error"]


@pytest.mark.parametrize(
    ("device", "status", "words"),
    [
        ("sbatch_account=nosuch", 403, "Invalid account or account/partition combination specified"),
        ("sbatch_account=pc", 403, "Invalid account or account/partition combination specified"),
        ("partition=nosuch", 400, "Invalid partition name specified"),
        ("sbatch_nodelist=n9", 400, "Invalid node name specified"),
        ("sbatch_begin=yore", 400, "begin"),
    ],
)
def test_a_refusal_has_slurms_words_and_its_status(
    device: str, status: int, words: str, service: Service, cluster: Cluster
) -> None:
    text = script("echo", devices=["exclusive=False", device])
    told = refusal(service, token(cluster, sun="kirby"), text)
    assert told[0] == status
    assert words in told[1]


def test_a_name_that_was_refused_can_be_sent_again(service: Service) -> None:
    wrong = form(script("echo", devices=["exclusive=False", "partition=nosuch"]))
    assert service.post("/submit", wrong).status_code == 400
    mended = service.submit({**form(SUCCESS), "name": wrong["name"]})
    assert service.exit_of(mended).code == 0


@pytest.fixture(scope="module")
def provider(cluster: Cluster) -> Iterator[IdentityProvider]:
    """An identity provider whose tokens Slurm takes, with the keys that it publishes."""
    with (
        identity_provider() as found,
        cluster.taking_tokens_of(requests.get(found.jwks_url, timeout=10).json()),
    ):
        yield found


def claims(cluster: Cluster, user: str) -> dict[str, Any]:
    """What names a user to this Slurm, beside what every token of a provider has."""
    return {cluster.user_claim: user}


@pytest.mark.parametrize("user", ["kirby", "mario", "dovahkiin"])
def test_a_token_as_keycloak_makes_it_is_its_users(
    user: str, provider: IdentityProvider, service: Service, cluster: Cluster
) -> None:
    job = service.submit(form(SUCCESS, bearer=provider.token(user, **claims(cluster, user))))
    assert service.exit_of(job).code == 0
    assert cluster.jobs(job.name) == [(job.job_id, user)]


def test_where_a_token_has_two_names_slurm_and_we_believe_the_same(
    provider: IdentityProvider, service: Service, cluster: Cluster
) -> None:
    job = service.submit(form(SUCCESS, bearer=provider.token("mario", sun="kirby"), held=True))
    assert cluster.jobs(job.name) == [(job.job_id, "kirby")]
    service.post("/terminate", job.ref)
    assert service.exit_of(job).code == -15


def test_a_providers_expired_token_is_401(
    provider: IdentityProvider, service: Service, cluster: Cluster
) -> None:
    expired = provider.token("kirby", lifetime=-60, **claims(cluster, "kirby"))
    status, error = refusal(service, expired)
    assert (status, not_taken(cluster) in error) == (401, True)
    assert "the bearer token has expired at 20" in error


def test_another_providers_token_is_401(
    provider: IdentityProvider, service: Service, cluster: Cluster
) -> None:
    stranger = IdentityProvider("https://elsewhere.example.com")
    status, error = refusal(service, stranger.token("kirby", **claims(cluster, "kirby")))
    assert (status, not_taken(cluster) in error) == (401, True)


def test_slurms_own_tokens_are_taken_beside_a_providers(
    provider: IdentityProvider, service: Service, cluster: Cluster
) -> None:
    job = service.submit(form(SUCCESS, bearer=cluster.token("kirby")))
    assert service.exit_of(job).code == 0
