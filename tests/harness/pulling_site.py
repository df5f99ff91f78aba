"""A site whose node pulls images: a registry in this process, real curl, a pretended apptainer."""

from __future__ import annotations

import os
import socket
import ssl
from base64 import b64encode
from pathlib import Path
from shutil import which

from pipeline.job import Credentials, Image
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.transport import Completed
from tests.harness.certificates import Authority
from tests.harness.container_node import DIGEST, ContainerNode
from tests.harness.http_server import HttpServer, Reaction
from tests.harness.jobs import native_job

NOBODY = Credentials()
OTHER_DIGEST = f"sha256:{'f' * 64}"
LOGIN = Credentials("robot", "hunter2 \"\\'&|$(touch canary)é")
BASIC = "Basic " + b64encode(f"{LOGIN.username}:{LOGIN.password}".encode()).decode()


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


def refused(site: Site, reply: Completed, why: str) -> None:
    """It ended with the one line that says why, pulled nothing, and nothing of it is left."""
    said = f"The image {site.reference} {why}\n"
    assert (reply.exit_code, reply.stdout, reply.stderr.decode()) == (1, b"", said)
    assert site.pulls() == 0
    assert not list(site.node.home.rglob("canary"))
    assert not list(site.node.home.rglob("secrets"))
