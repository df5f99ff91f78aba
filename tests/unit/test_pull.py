"""Pulling a native job's image: what a registry is asked, who gets the login, and what is told of a fault."""

from __future__ import annotations

import os
import socket
from urllib.parse import parse_qs

import pytest

from pipeline.job import Credentials
from tests.harness.container_node import DIGEST
from tests.harness.http_server import HttpServer, Reaction
from tests.harness.pulling_site import BASIC, LOGIN, NOBODY, Site, answer, has, refused


def hidden(site: Site) -> None:
    """The login is on no command line, and in curl's environment neither."""
    for file in ("calls", "calls.curl-environment"):
        assert b"hunter2" not in (site.node.bin.parent / file).read_bytes()


def test_an_image_that_anyone_may_have_is_pulled_by_its_digest(site: Site) -> None:
    site.registry.reactions = [has()]
    reply = site.pull()
    assert (reply.exit_code, reply.stderr) == (0, b"")
    assert reply.stdout.decode() == f"pulling {site.reference} ({DIGEST})\n"
    [request] = site.registry.requests
    assert request.line == "HEAD /v2/group/app/manifests/1 HTTP/1.1"
    assert request.headers["accept"] == "application/vnd.docker.distribution.manifest.v2+json"  # the last one
    wanted = site.reference.removesuffix(":1")
    assert (site.node.arguments("pull") or [])[-1] == f"docker://{wanted}@{DIGEST}"
    assert "APPTAINER_DOCKER_PASSWORD" not in site.node.environment_of("pull")
    assert site.image().read_text() == f"image docker://{wanted}@{DIGEST}\n"
    assert (site.node.arguments("exec") or [])[-2:] == [str(site.image()), "hello"]
    assert site.cache.stat().st_mode & 0o777 == 0o700


def test_a_login_is_sent_when_the_registry_asks_for_one(site: Site) -> None:
    site.registry.reactions = [answer(401, www_authenticate='Basic realm="r"'), has()]
    assert site.pull(LOGIN).exit_code == 0
    assert site.asked() == [("HEAD", ""), ("HEAD", BASIC)]
    assert site.node.environment_of("pull")["APPTAINER_DOCKER_PASSWORD"] == LOGIN.password
    hidden(site)


def bearer(site: Site, scheme: str = "https") -> Reaction:
    realm = f"{scheme}://127.0.0.1:{site.tokens.port}/token?x=1"
    scope = "repository:group/app:pull"
    return answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="a b&c",scope="{scope}"')


@pytest.mark.parametrize("login", [LOGIN, NOBODY], ids=["with a login", "without"])
@pytest.mark.parametrize(
    "body", ['{"token": "t0k/en+=", "expires_in": 300}', '{"a": 1,\n "access_token" : "t0k/en+="}']
)
def test_a_token_is_fetched_where_the_registry_says(site: Site, login: Credentials, body: str) -> None:
    site.registry.reactions = [bearer(site), has()]
    site.tokens.reactions = [answer(200, body)]
    assert site.pull(login).exit_code == 0
    [request] = site.tokens.requests
    method, path, _ = request.line.split(" ")
    assert (method, path.partition("?")[0]) == ("GET", "/token")
    asked = parse_qs(path.partition("?")[2])
    assert asked == {"x": ["1"], "service": ["a b&c"], "scope": ["repository:group/app:pull"]}
    assert request.headers.get("authorization", "") == (BASIC if login.username else "")
    assert site.asked() == [("HEAD", ""), ("HEAD", "Bearer t0k/en+=")]
    hidden(site)


def test_a_token_is_not_fetched_without_encryption(site: Site) -> None:
    plain = HttpServer()
    site.tokens.port, port = plain.port, site.tokens.port
    site.registry.reactions = [bearer(site, "http"), answer(401)]
    reply = site.pull(LOGIN)
    site.tokens.port = port
    plain.stop()
    assert plain.connections == 0
    refused(site, reply, "cannot be pulled: unauthorised, its registry refuses the login.")


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_that_is_refused_is_told(site: Site, status: int) -> None:
    site.registry.reactions = [answer(401, www_authenticate='Basic realm="r"'), answer(status)]
    refused(site, site.pull(LOGIN), "cannot be pulled: unauthorised, its registry refuses the login.")
    hidden(site)


def test_a_login_that_the_server_of_tokens_refuses_is_told(site: Site) -> None:
    site.registry.reactions = [bearer(site)]
    site.tokens.reactions = [answer(401, '{"errors": [{"code": "UNAUTHORIZED"}]}')]
    refused(site, site.pull(LOGIN), "cannot be pulled: unauthorised, its registry refuses the login.")
    hidden(site)


@pytest.mark.parametrize("challenge", ['Basic realm="r"', "Negotiate", ""])
def test_that_there_is_no_login_is_told(site: Site, challenge: str) -> None:
    site.registry.reactions = [answer(401, www_authenticate=challenge)]
    why = "cannot be pulled: unauthorised, and the job brings no login for its registry."
    refused(site, site.pull(), why)


def test_a_token_for_nobody_may_not_suffice(site: Site) -> None:
    site.registry.reactions = [bearer(site), answer(403)]
    site.tokens.reactions = [answer(200, '{"token": "t"}')]
    why = "cannot be pulled: unauthorised, and the job brings no login for its registry."
    refused(site, site.pull(), why)


@pytest.mark.parametrize(
    ("reaction", "why"),
    [
        (answer(404), "was not found in its registry."),
        (answer(500), "cannot be looked up: its registry answers with status 500."),
        (answer(429), "cannot be looked up: its registry answers with status 429."),
        (answer(200), "has no digest: its registry does not tell one."),
        (has("sha256:../../x"), "has no digest: its registry does not tell one."),
        (has("$(touch canary)"), "has no digest: its registry does not tell one."),
    ],
)
def test_what_else_a_registry_answers_is_told(site: Site, reaction: Reaction, why: str) -> None:
    site.registry.reactions = [reaction]
    refused(site, site.pull(), why)


def test_a_redirection_is_followed_with_encryption_only(site: Site) -> None:
    plain = HttpServer()
    site.registry.reactions = [answer(302, location=f"{plain.url}/v2/group/app/manifests/1")]
    reply = site.pull(LOGIN)
    plain.stop()
    assert plain.connections == 0
    assert reply.exit_code == 1
    [line] = reply.stderr.decode().splitlines()
    assert line.startswith(f"The image {site.reference} cannot be looked up: ")
    site.registry.reactions = [answer(302, location=f"{site.tokens.url}/elsewhere")]
    site.tokens.reactions = [has()]
    assert site.pull(name="two").exit_code == 0
    assert site.tokens.requests[-1].line.startswith("HEAD /elsewhere ")


def test_another_server_does_not_get_the_login(site: Site) -> None:
    elsewhere = f"{site.tokens.url.replace('127.0.0.1', 'localhost')}/elsewhere"
    site.registry.reactions = [
        answer(401, www_authenticate='Basic realm="r"'),
        answer(302, location=elsewhere),
    ]
    site.pull(LOGIN)
    assert [request for request in site.tokens.requests if "authorization" in request.headers] == []


def test_a_registry_that_is_down_is_told_with_curls_words(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        down = f"127.0.0.1:{listener.getsockname()[1]}/group/app:1"
    reply = site.pull(reference=down)
    assert reply.exit_code == 1
    [line] = reply.stderr.decode().splitlines()
    assert line.startswith(f"The image {down} cannot be looked up: curl: (7) ")


def test_a_registry_that_nobody_vouches_for_gets_nothing(site: Site) -> None:
    site.node.environment["CURL_CA_BUNDLE"] = os.devnull
    reply = site.pull(LOGIN)
    assert reply.exit_code == 1
    [line] = reply.stderr.decode().splitlines()
    assert line.startswith(f"The image {site.reference} cannot be looked up: curl: (")
    assert site.registry.requests == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "FATAL: write /x: no space left on device",
            "cannot be pulled: no space left in CACHE, or in /tmp on n1.",
        ),
        ("FATAL: Disk quota exceeded", "cannot be pulled: no space left in CACHE, or in /tmp on n1."),
        ("unauthorized: access denied", "cannot be pulled: unauthorised, its registry refuses the login."),
        ("authentication required", "cannot be pulled: unauthorised, its registry refuses the login."),
        ("FATAL: mkdir /tmp/x: permission denied", "cannot be pulled: see above."),
        ('exec: "mksquashfs": executable file not found in $PATH', "cannot be pulled: see above."),
        (
            "requested access to the resource is denied",
            "cannot be pulled: unauthorised, its registry refuses the login.",
        ),
        ("FATAL: Manifest Unknown", "was not found in its registry."),
        ("something else\nin two lines", "cannot be pulled: see above."),
    ],
)
def test_a_failed_pull_is_told_and_leaves_nothing(site: Site, said: str, why: str) -> None:
    site.registry.reactions = [has()]
    site.node.command("apptainer", f"echo part >\"${{@: -2:1}}\"; echo '{said}' >&2; exit 255")
    reply = site.pull(LOGIN)
    last = f"The image {site.reference} {why.replace('CACHE', str(site.cache))}"
    assert reply.exit_code == 1
    assert reply.stderr.decode() == f"{said}\n{last}\n"
    assert [file.name for file in site.cache.iterdir()] == [f"{site.image().name.partition('@')[0]}.lock"]
    assert not site.node.calls("srun")
    hidden(site)
