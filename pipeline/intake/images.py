"""Which images a job uses, and which login pulls each."""

from __future__ import annotations

import json
import platform
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from pipeline.errors import InvalidJob
from pipeline.job import Credentials, Image
from pipeline.settings import Settings

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
DOCKER_HUB = "index.docker.io"
_DOCKER_HUB_HOST = "registry-1.docker.io"
_DOCKER_HUB_TOO = ("docker.io", "registry-1.docker.io", "registry.hub.docker.com")


def go_architecture(machine: str) -> str:
    """An architecture in the words of image registries."""
    return _GO_ARCHITECTURES.get(machine, machine)


def registry_of(reference: str) -> str:
    """The registry of an image reference.

    The first part is a registry when it looks like a host (a dot, a port, ``localhost``), however
    many parts follow; ``ubuntu`` and ``library/ubuntu`` come from Docker Hub.
    """
    first, slash, _ = reference.partition("/")
    return one_name(first) if slash and _is_host(first) else DOCKER_HUB


@dataclass(frozen=True)
class ImageName:
    """A reference in its parts; the digest may be empty."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def host(self) -> str:
        """Where the registry answers; Docker Hub's has another name."""
        return _DOCKER_HUB_HOST if self.registry == DOCKER_HUB else self.registry


def image_name(reference: str) -> ImageName:
    """The parts of an image reference. Source: the distribution project's grammar of references."""
    registry = registry_of(reference)
    path, _, digest = reference.partition("@")
    first, slash, rest = path.partition("/")
    path, _, tag = (rest if slash and _is_host(first) else path).partition(":")
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return ImageName(registry, path, tag or "latest", digest)


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost"


def init_image(settings: Settings, appdef_version: int, architecture: str) -> Image:
    """The init image for an application definition's version."""
    tag = settings.images_tag
    this = go_architecture(platform.machine())
    if tag.endswith(f"-{this}"):
        tag = tag.removesuffix(this) + architecture
    reference = f"{settings.system_registry}/{settings.system_repo_base}/initv{appdef_version}:{tag}"
    return Image(reference, Credentials(settings.docker_username, settings.docker_password))


def app_image(settings: Settings, repo: str, application: str, login: Credentials) -> Image:
    """The application's image: from the local registry, through the proxy, or from its own."""
    if settings.local_registry:
        base = "/".join(
            part for part in (settings.local_registry, settings.local_repo_base.strip("/")) if part
        )
        return Image(f"{base}/{application}:latest", login)
    proxied = settings.registry_proxy_port and any(
        repo.startswith(start) for start in settings.registry_proxy_repos
    )
    if proxied:
        _, _, path = repo.partition("/")
        return Image(f"localhost:{settings.registry_proxy_port}/{path}", login)
    return Image(repo, login)


def in_global_registries(settings: Settings, reference: str) -> bool:
    """Whether an image comes from one of the registries whose images all users share."""
    return any(
        reference == start or reference.startswith(start.rstrip("/") + "/")
        for start in settings.job_global_registries
    )


def login_for(registry: str, docker_secret: str, ctrsecret: str) -> Credentials:
    """The login for a registry: the job's own secret, else the user's.

    Raises:
        InvalidJob: a secret is not of its form; its value is not repeated.
    """
    own = _docker_secret(docker_secret) if docker_secret else {}
    if own and _host(own.get("server", "")) == registry:
        return Credentials(own.get("username", ""), own.get("password", ""))
    for url, login in (_docker_config(ctrsecret) if ctrsecret else {}).items():
        if _host(url) == registry:
            return login
    return Credentials()


def _host(url: str) -> str:
    """The registry that a docker configuration's key names: a URL, a host, or a host and a path."""
    scheme, separator, rest = url.partition("://")
    return one_name((rest if separator else scheme).partition("/")[0])


def one_name(registry: str) -> str:
    """The registry by the one of its names that is used here; Docker Hub has several."""
    return DOCKER_HUB if registry in _DOCKER_HUB_TOO else registry


def _docker_secret(text: str) -> dict[str, str]:
    # Keys are read before formatting, so the upstream's braces arrive doubled.
    for candidate in (text, text.replace("{{", "{").replace("}}", "}")):
        try:
            return {key: _text(part) for key, part in json.loads(candidate).items()}
        except (ValueError, AttributeError, RecursionError):
            continue
    raise InvalidJob("JOBOBJ_DOCKER_SECRET", expected="JSON with server, username and password")


def _docker_config(text: str) -> dict[str, Credentials]:
    try:
        auths: Any = json.loads(b64decode(text, validate=True)).get("auths", {})
        logins = {}
        for url, entry in auths.items():
            if "auth" in entry:
                user, _, password = b64decode(entry["auth"]).decode("utf-8").partition(":")
            else:
                user, password = entry.get("username", ""), entry.get("password", "")
            logins[url] = Credentials(_text(user), _text(password))
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise InvalidJob("JOBOBJ_CTRSECRET", expected="the base64 of a docker config.json") from None
    return logins


def _text(part: Any) -> str:
    """The part of a secret, which must be text that can be sent. Raises ValueError."""
    if not isinstance(part, str):
        raise ValueError
    part.encode("utf-8")  # JSON can spell half a character, which raises here
    return part
