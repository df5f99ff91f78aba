"""Submitting through slurmrestd: which version, whose token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jwt
import pytest

from pipeline.errors import (
    InvalidJob,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    SettingsFault,
    Unavailable,
)
from pipeline.identity import Owner, unverified
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from tests.harness.fake_slurmrestd import (
    FakeSlurmrestd,
    instead,
    token,
)
from tests.harness.jobs import NAME, job
from tests.harness.service import free_port
from tests.unit.conftest import OverSlurmrestd

KIRBY = Owner("kirby", token=token("kirby"))
FORGED = jwt.encode({"sun": "kirby"}, "x" * 32, algorithm="HS256")
OTHER = NAME.replace("ABCDE", "FGHIJ")


# ---- whose job ----


def test_a_job_is_sent_as_its_owner(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    assert over_slurmrestd().submission.submit(batch, KIRBY).job_id == "100"
    [sent] = slurmrestd.calls("POST job/submit")
    assert (sent.user, sent.version) == ("kirby", "v0.0.42")
    assert sent.document["script"] == batch.text
    assert sent.document["job"]["name"] == f"jarvice_{NAME}"
    assert sent.document["job"]["current_working_directory"] == "/home/kirby"
    assert sent.headers["x-slurm-user-token"] == KIRBY.token
    assert "x-slurm-user-name" not in sent.headers


def test_slurmrestd_of_22_05_wants_the_name_beside_the_token(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.versions = ["v0.0.37", "v0.0.38"]
    slurmrestd.faults["GET jobs/state"] = [instead(200, {"jobs": [], "errors": []})]
    over_slurmrestd().submission.submit(batch, KIRBY)
    [sent] = slurmrestd.calls("POST job/submit")
    assert (sent.version, sent.headers["x-slurm-user-name"]) == ("v0.0.38", "kirby")


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"sun": "kirby"}, "kirby"),
        ({"preferred_username": "kirby"}, "kirby"),
        ({"sun": "kirby", "preferred_username": "kirby.of.the.stars"}, "kirby"),
        ({"sun": "", "preferred_username": "kirby"}, "kirby"),
    ],
)
def test_the_owner_is_who_the_token_names(
    over_slurmrestd: OverSlurmrestd, claims: dict[str, Any], user: str
) -> None:
    bearer = token("", claim="unused", **claims)
    assert over_slurmrestd().submission.owner_of(unverified(f"Bearer {bearer}")) == Owner(user, token=bearer)


def test_nobodys_token_makes_root_the_owner_of_a_job(over_slurmrestd: OverSlurmrestd) -> None:
    bearer = unverified(token("root", claim="preferred_username"))
    with pytest.raises(NotAllowed, match="the token names root, and nobody's jobs run as root"):
        over_slurmrestd().submission.owner_of(bearer)


def test_a_native_job_is_its_users_whom_the_token_has_to_name(over_slurmrestd: OverSlurmrestd) -> None:
    submission = over_slurmrestd().submission
    assert submission.owner_named("kirby", KIRBY.token) == KIRBY
    with pytest.raises(NotAllowed, match="SLURM_JWT is a token of kirby, and the job's user is mario"):
        submission.owner_named("mario", KIRBY.token)
    with pytest.raises(NotAuthenticated, match="SLURM_JWT is not set: "):
        submission.owner_named("kirby", "")
    with pytest.raises(InvalidRequest, match="SLURM_JWT: is not a JSON Web Token"):
        submission.owner_named("kirby", "nonsense")


def test_a_site_names_its_own_claim(over_slurmrestd: OverSlurmrestd) -> None:
    submission = over_slurmrestd(slurmrestd_user_claim=("uid",)).submission
    assert submission.owner_of(unverified(token("kirby", claim="uid", sun="mario"))).user == "kirby"
    with pytest.raises(NotAllowed, match=r"no claim uid,.*JARVICE_SLURMRESTD_USER_CLAIM"):
        submission.owner_of(unverified(token("kirby")))


def test_an_expired_token_is_told_with_its_time(over_slurmrestd: OverSlurmrestd, batch: BatchScript) -> None:
    owner = Owner("kirby", token=token("kirby", exp=1_700_000_000))
    with pytest.raises(
        NotAuthenticated, match=r"Protocol authentication error; .*expired at 2023-11-14T22:13:20Z"
    ) as fault:
        over_slurmrestd().submission.submit(batch, owner)
    assert owner.token not in fault.value.message


def test_a_token_that_is_not_taken_for_another_reason(
    over_slurmrestd: OverSlurmrestd, batch: BatchScript
) -> None:
    with pytest.raises(NotAuthenticated) as fault:
        over_slurmrestd().submission.submit(batch, Owner("kirby", token=FORGED))
    assert "expired" not in fault.value.message


# ---- which version ----


def test_the_newest_version_that_both_know_is_spoken(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    slurmrestd.versions = ["v0.0.39", "v0.0.43", "v0.0.41", "v0.0.99"]
    over_slurmrestd().submission.submit(batch, KIRBY)
    assert {asked.version for asked in slurmrestd.asked if asked.what != "GET ping"} == {"v0.0.43"}


def test_a_version_that_is_set_is_spoken(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    over_slurmrestd(slurmrestd_api_version="v0.0.40").submission.submit(batch, KIRBY)
    assert {asked.version for asked in slurmrestd.asked} == {"v0.0.40"}


def test_a_version_that_is_set_and_not_served_is_told_with_those_that_are(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connector = over_slurmrestd(slurmrestd_api_version="v0.0.45")
    for ask in (connector.check, lambda: connector.submission.submit(batch, KIRBY)):
        with pytest.raises(
            Unavailable,
            match=r"JARVICE_SLURMRESTD_API_VERSION: .* v0\.0\.45; .*v0\.0\.42, v0\.0\.41, v0\.0\.40$",
        ):
            ask()
    assert slurmrestd.submissions() == 0


@pytest.mark.parametrize("served", [[], ["v0.0.99"]])
def test_a_server_without_any_version_of_ours_is_told(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, served: list[str]
) -> None:
    slurmrestd.versions = served
    with pytest.raises(Unavailable, match=r"serves none of the API versions .*v0\.0\.38 to v0\.0\.45"):
        over_slurmrestd().check()


def test_a_version_that_nobody_speaks_stops_the_start(over_slurmrestd: OverSlurmrestd) -> None:
    with pytest.raises(SettingsFault, match=r"v0\.0\.36 is not one that this downstream speaks"):
        over_slurmrestd(slurmrestd_api_version="v0.0.36")


def test_after_an_upgrade_a_job_is_sent_once_in_the_new_version(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connector = over_slurmrestd()
    connector.check()
    slurmrestd.versions = ["v0.0.43", "v0.0.44"]
    with pytest.raises(Unavailable):  # the poll notices first
        connector.management.jobs()
    assert connector.submission.submit(batch, KIRBY).job_id == "100"
    assert [sent.version for sent in slurmrestd.calls("POST job/submit")] == ["v0.0.44"]
    assert len(slurmrestd.jobs) == 1


def test_an_upgrade_between_two_submissions_costs_one_try(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, batch: BatchScript
) -> None:
    connector = over_slurmrestd()
    connector.submission.submit(batch, KIRBY)
    slurmrestd.versions = ["v0.0.44"]
    other = Renderer(Settings()).batch_script(job(name=OTHER))
    with pytest.raises(Unavailable, match="has changed its versions"):
        connector.submission.submit(other, KIRBY)
    assert connector.submission.submit(other, KIRBY).job_id == "101"
    assert [sent.version for sent in slurmrestd.calls("POST job/submit")] == ["v0.0.42", "v0.0.44"]


def test_a_server_that_is_not_there_is_told(over_slurmrestd: OverSlurmrestd) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{port}: .*refused"):
        over_slurmrestd(slurmrestd_port=port).check()


@pytest.mark.parametrize("status", [301, 429, 502, 503, 504])
def test_a_proxy_that_answers_in_its_place_is_not_slurmrestd(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd, status: int
) -> None:
    connector = over_slurmrestd()
    slurmrestd.faults["GET ping"] = [instead(status, "<html></html>")]
    with pytest.raises(Unavailable, match=f"HTTP {status} instead of slurmrestd's answer"):
        connector.check()
    connector.submission.check()
    slurmrestd.faults["GET ping"] = [instead(status, "<html></html>")]
    with pytest.raises(Unavailable, match=f"HTTP {status} instead of slurmrestd's answer"):
        connector.submission.check()


def test_a_job_that_this_version_has_no_field_for_is_not_sent(
    over_slurmrestd: OverSlurmrestd, slurmrestd: FakeSlurmrestd
) -> None:
    resources = replace(job().resources, sbatch_options={"resv-ports": "3"})
    batch = Renderer(Settings()).batch_script(job(resources=resources))
    with pytest.raises(InvalidJob, match="sbatch_resv-ports=3"):
        over_slurmrestd().submission.submit(batch, KIRBY)
    assert slurmrestd.submissions() == 0
