"""Pulling a native job's image: real curl asks a registry in this process, a pretended apptainer pulls."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs

import pytest

from pipeline.job import Credentials, Image
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.transport import Completed
from tests.harness.certificates import Authority
from tests.harness.container_node import DIGEST, RUNTIME, ContainerNode
from tests.harness.http_server import HttpServer, Reaction
from tests.harness.jobs import native_job
from tests.harness.waiting import eventually

NOBODY = Credentials()
OTHER_DIGEST = f"sha256:{'f' * 64}"
LOGIN = Credentials("robot", "hunter2 \"\\'&|$(touch canary)é")
BASIC = "Basic " + b64encode(f"{LOGIN.username}:{LOGIN.password}".encode()).decode()

NOBODYS = 65534
"""An id of a user that is not root, who could write everywhere."""


def answer(status: int, body: str = "", **headers: str) -> Reaction:
    """The answer to one request; of a HEAD the body is left out by whoever calls this."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    def react(connection: socket.socket) -> bool:
        connection.sendall("\r\n".join([*lines, "", body]).encode())
        return True

    return react


def has(digest: str = DIGEST) -> Reaction:
    return answer(200, docker_content_digest=digest)


class Site:
    """A node, a registry with TLS, and a server for its tokens."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder / "ca")
        tls: ssl.SSLContext = authority.server()
        self.registry, self.tokens = HttpServer(tls), HttpServer(tls)
        self.node = ContainerNode(folder)
        curl = which("curl")
        self.node.command("curl", f'env -0 >>"$CALLS.curl-environment"; exec {curl} "$@"')
        self.node.environment["CURL_CA_BUNDLE"] = str(authority.ca_file)
        self.reference = f"127.0.0.1:{self.registry.port}/group/app:1"
        self.cache = self.node.home / ".jarvice" / "images.kirby"

    def batch(
        self, login: Credentials = NOBODY, *, name: str = "one", reference: str = "", **words: object
    ) -> BatchScript:
        settings = Settings(job_global_scratch_dir=str(words.pop("shared", "")))
        job = native_job(name=name, image=Image(reference or self.reference, login), **words)
        return Renderer(settings).batch_script(job)

    def pull(self, login: Credentials = NOBODY, **words: object) -> Completed:
        """Run a whole job."""
        batch = self.batch(login, **words)  # type: ignore[arg-type]
        self.node.sent(batch)
        return self.node.started(batch)

    def pulls(self) -> int:
        return sum(" pull " in call for call in self.node.calls("apptainer"))

    def image(self, digest: str = DIGEST) -> Path:
        port = self.registry.port
        return self.cache / f"127.0.0.1_{port}+group+app@{digest}.{os.uname().machine}.sif"

    def asked(self) -> list[tuple[str, str]]:
        """Method, and what authorises it, of each request to the registry."""
        return [
            (request.line.split(" ")[0], request.headers.get("authorization", ""))
            for request in self.registry.requests
        ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.registry.stop()
    site.tokens.stop()


def refused(site: Site, reply: Completed, why: str) -> None:
    """It ended with the one line that says why, pulled nothing, and nothing of it is left."""
    said = f"The image {site.reference} {why}\n"
    assert (reply.exit_code, reply.stdout, reply.stderr.decode()) == (1, b"", said)
    assert site.pulls() == 0
    assert not list(site.node.home.rglob("canary"))
    assert not list(site.node.home.rglob("secrets"))


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


def test_an_image_is_pulled_again_when_its_tag_has_another_digest(site: Site) -> None:
    site.registry.reactions = [has(), has(), has(OTHER_DIGEST), has(OTHER_DIGEST)]
    assert [site.pull(name=name).exit_code for name in ("a", "b", "c", "d")] == [0, 0, 0, 0]
    assert site.pulls() == 2
    assert site.image().exists()
    assert (site.node.arguments("exec") or [])[-2] == str(site.image(OTHER_DIGEST))


def test_a_missing_image_is_pulled_and_one_that_is_there_is_not_asked_for(site: Site) -> None:
    site.registry.reactions = [has()]
    assert [site.pull(name=name, pull="missing").exit_code for name in ("a", "b")] == [0, 0]
    assert (site.pulls(), len(site.registry.requests)) == (1, 1)
    site.image().unlink()
    site.registry.reactions = [has(OTHER_DIGEST)]
    assert site.pull(name="c", pull="missing").exit_code == 0
    assert (site.node.arguments("exec") or [])[-2] == str(site.image(OTHER_DIGEST))


def test_an_image_with_its_digest_is_not_asked_for(site: Site) -> None:
    pinned = site.reference.replace(":1", f"@{DIGEST}")
    replies = [
        site.pull(name=name, reference=pinned, pull=pull)
        for name, pull in [("a", "always"), ("b", "missing")]
    ]
    assert [(reply.exit_code, reply.stderr) for reply in replies] == [(0, b""), (0, b"")]
    assert (site.pulls(), site.registry.requests) == (1, [])


def test_a_job_that_is_started_again_keeps_its_image(site: Site) -> None:
    """Neither the registry nor the login is needed."""
    batch = site.batch(LOGIN)
    site.registry.reactions = [has()]
    site.node.sent(batch)
    assert [site.node.started(batch).exit_code for _ in range(2)] == [0, 0]
    assert (site.pulls(), len(site.registry.requests)) == (1, 1)


@contextmanager
def begun(site: Site, batch: BatchScript) -> Iterator[subprocess.Popen[bytes]]:
    """A batch script that runs on; killed at the end, with all that it began."""
    process = subprocess.Popen(
        ["bash", "-s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=site.node.home,
        env=site.node.environment,
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(batch.text.encode())
    process.stdin.close()
    process.stdin = None
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def pulls_until_told(site: Site) -> None:
    """Let a pull wait for a line in the file ``go``."""
    os.mkfifo(site.node.home / "go")
    site.node.command(
        "apptainer",
        'case $2 in pull) echo part >"${@: -2:1}"; : >"$HOME/pulling"; read -r <"$HOME/go" ;; esac',
    )


def test_a_pull_that_was_killed_leaves_nothing_in_the_way(site: Site) -> None:
    site.registry.reactions = [has(), has()]
    pulls_until_told(site)
    with begun(site, site.batch()):
        eventually((site.node.home / "pulling").exists, what="the pull", pause=0.02)
    assert list(site.cache.glob("*.partial"))
    site.node.command("apptainer", RUNTIME)
    assert site.pull(name="two").exit_code == 0
    assert not list(site.cache.glob("*.partial"))
    assert site.image().exists()


def test_a_pull_that_was_ended_leaves_nothing_and_the_job_says_that_its_login_is_gone(site: Site) -> None:
    """Slurm ends a job, and starts it again: `scontrol requeue`, preemption."""
    asks = answer(401, www_authenticate='Basic realm="r"')
    site.registry.reactions = [asks, has(), asks]
    pulls_until_told(site)
    batch = site.batch(LOGIN)
    site.node.sent(batch)
    with begun(site, batch) as process:
        eventually((site.node.home / "pulling").exists, what="the pull", pause=0.02)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)
    assert not list(site.cache.glob("*.partial"))
    reply = site.node.started(batch)
    gone = "unauthorised; its login was for the job's first start. Submit it under a new name."
    assert (reply.exit_code, reply.stderr.decode()) == (
        1, f"The image {site.reference} cannot be pulled: {gone}\n"
    )  # fmt: skip


def test_of_two_jobs_at_once_one_pulls(site: Site) -> None:
    site.registry.reactions = [has(), has()]
    pulls_until_told(site)
    with begun(site, site.batch(name="one")) as first:
        eventually((site.node.home / "pulling").exists, what="the pull", pause=0.02)
        with begun(site, site.batch(name="two")) as second:
            assert second.stdout
            assert second.stdout.readline().startswith(b"waiting for another job that pulls into ")
            (site.node.home / "go").write_text("\n")
            said, _ = second.communicate(timeout=20)
            first.communicate(timeout=20)
            assert (first.returncode, second.returncode, said) == (0, 0, b"")
    assert site.pulls() == 1


def shared_by(site: Site) -> Path:
    folder = site.node.home / "shared" / ".jarvice" / "images"
    folder.mkdir(parents=True)
    return folder


def from_shared(site: Site, name: str) -> Completed:
    return site.pull(name=name, image_in_global_registries=True, shared=f"{site.node.home}/shared/")


def test_images_of_global_registries_are_kept_for_all(site: Site) -> None:
    shared = shared_by(site)
    site.registry.reactions = [has(), has()]
    assert from_shared(site, "one").exit_code == 0
    kept = shared / site.image().name
    assert kept.stat().st_mode & 0o444 == 0o444
    assert not list(site.cache.iterdir())
    site.node.environment["USER"] = "mario"
    assert from_shared(site, "two").exit_code == 0
    assert site.pulls() == 1
    assert (site.node.arguments("exec") or [])[-2] == str(kept)


def test_without_the_shared_folder_images_are_the_users_own(site: Site) -> None:
    site.registry.reactions = [has()]
    assert from_shared(site, "one").exit_code == 0
    assert site.image().exists()


def test_other_images_are_not_kept_for_all(site: Site) -> None:
    shared = shared_by(site)
    site.registry.reactions = [has()]
    assert site.pull(shared=f"{site.node.home}/shared/").exit_code == 0
    assert not list(shared.iterdir())
    assert site.image().exists()


def test_a_folder_of_images_that_is_somebody_elses_is_refused(site: Site) -> None:
    site.cache.parent.mkdir(parents=True)
    if os.geteuid() == 0:
        site.cache.mkdir()
        os.chown(site.cache, NOBODYS, NOBODYS)
    else:
        site.cache.symlink_to("/")
    site.registry.reactions = [has()]
    refused(site, site.pull(), f"cannot be kept: {site.cache} is not this user's.")
    assert site.registry.requests == []


def test_a_file_in_place_of_the_folder_of_images_is_refused(site: Site) -> None:
    site.cache.parent.mkdir(parents=True)
    site.cache.write_text("")
    reply = site.pull()
    last = f"The image {site.reference} cannot be kept: {site.cache} is not this user's."
    assert (reply.exit_code, reply.stderr.decode().splitlines()[-1]) == (1, last)


@pytest.fixture
def as_nobody() -> Iterator[Site]:
    """A site whose jobs are nobody's, in a folder that nobody can get at; root's are in pytest's."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        site = Site(folder)
        yield site
        site.registry.stop()
        site.tokens.stop()


def run_as_nobody(site: Site, name: str, **words: Any) -> Completed:
    shared = f"{site.node.home}/shared/"
    batch = site.batch(name=name, image_in_global_registries=True, shared=shared, **words)
    if os.geteuid() != 0:
        return site.node.started(batch)
    for path in (site.node.bin.parent, site.node.home, *site.node.bin.parent.glob("calls*")):
        os.chown(path, NOBODYS, NOBODYS)
    become = f"setpriv --reuid={NOBODYS} --regid={NOBODYS} --clear-groups"
    return site.node.run(f"{become} bash -s", batch.text.encode())


def test_with_a_shared_folder_that_one_may_only_read_images_are_ones_own(as_nobody: Site) -> None:
    shared = shared_by(as_nobody)
    shared.chmod(0o555)
    as_nobody.registry.reactions = [has(), has(OTHER_DIGEST)]
    reply = run_as_nobody(as_nobody, "one")
    assert (reply.exit_code, reply.stderr) == (0, b"")
    assert as_nobody.image().exists()
    shared.chmod(0o755)
    kept = shared / as_nobody.image(OTHER_DIGEST).name
    kept.write_text("an image")
    shared.chmod(0o555)
    reply = run_as_nobody(as_nobody, "two")
    assert (reply.exit_code, reply.stderr, as_nobody.pulls()) == (0, b"", 1)
    assert (as_nobody.node.arguments("exec") or [])[-2] == str(kept)
    assert [file.name for file in shared.iterdir()] == [kept.name]


def test_the_files_of_others_in_a_shared_folder_are_not_in_the_way(as_nobody: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can have files of others")
    shared = shared_by(as_nobody)
    shared.chmod(0o777)
    kept = as_nobody.image().name.partition("@")[0]
    (shared / f"{kept}.lock").touch(mode=0o644)
    (shared / f"{kept}:1").write_text(f"{OTHER_DIGEST}\n")
    as_nobody.registry.reactions = [has()]
    reply = run_as_nobody(as_nobody, "one")
    assert (reply.exit_code, reply.stderr) == (0, b"")
    assert (shared / as_nobody.image().name).exists()
    assert (shared / f"{kept}:1").read_text() == f"{DIGEST}\n", "what `pull: missing` goes by moves on"
    assert not list(shared.glob(f"{kept}:1.*"))


def test_a_note_of_others_that_cannot_be_replaced_is_not_what_pull_missing_goes_by(as_nobody: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can have files of others")
    shared = shared_by(as_nobody)
    kept = as_nobody.image().name.partition("@")[0]
    (shared / f"{kept}:1").write_text(f"{OTHER_DIGEST}\n")
    (shared / as_nobody.image(OTHER_DIGEST).name).write_text("an old image")
    shared.chmod(0o555)
    as_nobody.registry.reactions = [has()]
    assert run_as_nobody(as_nobody, "one").exit_code == 0
    assert run_as_nobody(as_nobody, "two", pull="missing").exit_code == 0
    assert (as_nobody.node.arguments("exec") or [])[-2] == str(as_nobody.image())
    assert len(as_nobody.registry.requests) == 1
