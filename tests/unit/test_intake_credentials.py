"""Which login pulls the application's image, and that no secret is ever told."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from pipeline import intake
from pipeline.errors import InvalidJob
from pipeline.intake.images import login_for, registry_of
from pipeline.job import Credentials
from pipeline.prepare import Preparer
from pipeline.settings import Settings
from tests.harness.forms import form, script
from tests.harness.jobs import script_of

REPO = "registry.example.com/group/app:1"


def config(auths: object) -> str:
    return b64encode(json.dumps({"auths": auths}).encode()).decode()


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": b64encode(f"{user}:{password}".encode()).decode()}


def secret(server: str, password: str = "own") -> str:
    return json.dumps({"server": server, "username": "robot", "password": password})


@pytest.mark.parametrize("double", [True, False])
def test_the_jobs_own_secret_wins_with_single_and_with_doubled_braces(double: bool) -> None:
    text = secret("registry.example.com", 'p"w\\')
    text = text.replace("{", "{{").replace("}", "}}") if double else text
    other = config({"registry.example.com": auth("u", "p")})
    assert login_for(registry_of(REPO), text, other) == Credentials("robot", 'p"w\\')


def test_braces_in_a_password_arrive_doubled_too() -> None:
    text = secret("registry.example.com", "a{b}c").replace("{", "{{").replace("}", "}}")
    assert login_for(registry_of(REPO), text, "").password == "a{b}c"


@pytest.mark.parametrize("scheme", ["", "https://"])
@pytest.mark.parametrize("path", ["", "/", "/v2/"])
def test_a_server_is_a_host_or_a_url(scheme: str, path: str) -> None:
    server = f"{scheme}registry.example.com{path}"
    assert login_for(registry_of(REPO), secret(server), "").username == "robot"
    assert login_for(registry_of(REPO), "", config({server: auth("u", "p:w")})) == Credentials("u", "p:w")


@pytest.mark.parametrize(
    "server", ["other.example.com", "example.com", "", "registry.example.com.evil.example", "https://["]
)
def test_a_login_for_another_registry_is_not_used(server: str) -> None:
    assert login_for(registry_of(REPO), secret(server), config({server: auth("u", "p")})) == Credentials()


def test_the_secret_of_another_registry_leaves_the_users_login() -> None:
    both = config({"a.example.com": auth("a", "x"), "https://registry.example.com": auth("b", "y")})
    assert login_for(registry_of(REPO), secret("other.example.com"), both) == Credentials("b", "y")


def test_a_registry_with_a_port_and_an_image_of_two_parts() -> None:
    assert login_for(registry_of("host:5000/app"), secret("host:5000"), "").username == "robot"
    assert login_for(registry_of("ghcr.io/app"), secret("ghcr.io"), "").username == "robot"


@pytest.mark.parametrize("server", ["https://index.docker.io/v1/", "index.docker.io", "docker.io"])
@pytest.mark.parametrize("repo", ["ubuntu", "group/app:1", "docker.io/group/app"])
def test_docker_hub_has_several_names(repo: str, server: str) -> None:
    assert login_for(registry_of(repo), secret(server), "").username == "robot"


def test_a_docker_config_may_spell_user_and_password_out() -> None:
    entry = {"username": "u", "password": "p"}
    assert login_for(registry_of(REPO), "", config({"registry.example.com": entry})) == Credentials("u", "p")


BROKEN_CONFIGS: list[str] = [
    "hunter2 is not base64",
    b64encode(b"hunter2").decode(),
    b64encode(b'["hunter2"]').decode(),
    b64encode(b'{"auths": ["hunter2"]}').decode(),
    b64encode(b'{"auths": null}').decode(),
    config({"registry.example.com": "hunter2"}),
    config({"registry.example.com": {"auth": 5}}),
    config({"registry.example.com": {"auth": "\xff"}}),
    config({"registry.example.com": {"username": 5, "password": ["hunter2"]}}),
    config({"registry.example.com": {"username": "u", "password": "\ud800"}}),
]


@pytest.mark.parametrize("text", BROKEN_CONFIGS)
def test_a_docker_config_that_cannot_be_read_is_refused_and_not_repeated(text: str) -> None:
    _refused("JOBOBJ_CTRSECRET", text)


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "[" * 50_000,
        '"hunter2"',
        '["hunter2"]',
        json.dumps({"server": "registry.example.com", "username": "u", "password": 5}),
        json.dumps({"server": None, "password": "hunter2"}),
        secret("registry.example.com", "\ud800"),
    ],
)
def test_a_docker_secret_that_cannot_be_read_is_refused_and_not_repeated(text: str) -> None:
    _refused("JOBOBJ_DOCKER_SECRET", text.replace("{", "{{").replace("}", "}}"))


def _refused(key: str, text: str) -> None:
    with pytest.raises(InvalidJob) as fault:
        Preparer(Settings()).check(form(script("echo", devices=None, JOBOBJ_REPO=REPO, **{key: text})))
    assert fault.value.message.startswith(f"{key}: is not ")
    assert "hunter2" not in fault.value.message
    assert text not in fault.value.message


def test_no_secret_is_left_in_what_is_shown() -> None:
    password, init_password = "pa$$\"wörd'", "the init password"
    own = secret("registry.example.com", password).replace("{", "{{").replace("}", "}}")
    ctrsecret = config({"registry.example.com": auth("u", "another password")})
    sent = form(script("echo", JOBOBJ_REPO=REPO, JOBOBJ_DOCKER_SECRET=own, JOBOBJ_CTRSECRET=ctrsecret))
    for line_ends in ("\n", "\r\n"):
        _assert_hidden(
            sent, line_ends, [password, init_password, ctrsecret, own, sent["bearer"]], init_password
        )


def _assert_hidden(sent: dict[str, Any], line_ends: str, secrets: list[str], init_password: str) -> None:
    text = script_of(intake.read_form(sent, Settings())).text.replace("\n", line_ends)
    encoded = b64encode(text.encode()).decode()
    settings = Settings(docker_username="u", docker_password=init_password)
    preparer = Preparer(settings)
    job = preparer.check({**sent, "hpc_script": {"singularity": encoded}})
    batch = preparer.render(job)
    open_batch = Preparer(settings, secrets_inside=True).render(job)
    for known in secrets:
        for spelling in (known, b64encode(known.encode()).decode(), json.dumps(known)[1:-1]):
            assert spelling not in batch.text
            assert spelling not in open_batch.masked()
            assert spelling not in repr(job)
            assert spelling not in repr(batch)
    assert "JARVICE_DOCKER_PASSWORD='<SECRET" in batch.text
    assert b64encode(init_password.encode()).decode() in batch.secrets_file
    assert b64encode(init_password.encode()).decode() in open_batch.text
