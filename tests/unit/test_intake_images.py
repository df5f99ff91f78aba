"""Which images a job uses."""

from __future__ import annotations

import platform

import pytest

from pipeline.intake.images import (
    ImageName,
    app_image,
    image_name,
    in_global_registries,
    init_image,
    registry_of,
)
from pipeline.job import Credentials
from pipeline.settings import Settings

NOBODY = Credentials()


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("ubuntu", "index.docker.io"),
        ("ubuntu:22.04", "index.docker.io"),
        ("library/ubuntu", "index.docker.io"),
        ("ghcr.io/app", "ghcr.io"),
        ("ghcr.io/group/app:1", "ghcr.io"),
        ("registry.example.com/a/b/c@sha256:00", "registry.example.com"),
        ("localhost/app", "localhost"),
        ("host:5000/app:1", "host:5000"),
        ("us-docker.pkg.dev/project/repo/app", "us-docker.pkg.dev"),
    ],
)
def test_the_registry_of_an_image(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


HUB, HUBS_HOST, DIGEST = "index.docker.io", "registry-1.docker.io", f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("reference", "name", "host"),
    [
        ("ubuntu", ImageName(HUB, "library/ubuntu", "latest", ""), HUBS_HOST),
        ("ubuntu:22.04", ImageName(HUB, "library/ubuntu", "22.04", ""), HUBS_HOST),
        ("library/ubuntu", ImageName(HUB, "library/ubuntu", "latest", ""), HUBS_HOST),
        ("group/app:1", ImageName(HUB, "group/app", "1", ""), HUBS_HOST),
        ("a/b/c:1", ImageName(HUB, "a/b/c", "1", ""), HUBS_HOST),
        ("docker.io/ubuntu", ImageName(HUB, "library/ubuntu", "latest", ""), HUBS_HOST),
        ("index.docker.io/group/app", ImageName(HUB, "group/app", "latest", ""), HUBS_HOST),
        ("registry-1.docker.io/library/ubuntu:1", ImageName(HUB, "library/ubuntu", "1", ""), HUBS_HOST),
        (f"ubuntu@{DIGEST}", ImageName(HUB, "library/ubuntu", "latest", DIGEST), HUBS_HOST),
        (f"ghcr.io/app:1@{DIGEST}", ImageName("ghcr.io", "app", "1", DIGEST), "ghcr.io"),
        ("ghcr.io/app", ImageName("ghcr.io", "app", "latest", ""), "ghcr.io"),
        ("localhost/app:1", ImageName("localhost", "app", "1", ""), "localhost"),
        ("localhost:5000/a/b", ImageName("localhost:5000", "a/b", "latest", ""), "localhost:5000"),
        (f"host:5000/app@{DIGEST}", ImageName("host:5000", "app", "latest", DIGEST), "host:5000"),
        ("host:5000/app:1.2_3-4", ImageName("host:5000", "app", "1.2_3-4", ""), "host:5000"),
    ],
)
def test_the_parts_of_an_image_reference(reference: str, name: ImageName, host: str) -> None:
    assert image_name(reference) == name
    assert image_name(reference).host == host


def test_an_application_comes_from_its_own_registry() -> None:
    login = Credentials("u", "p")
    image = app_image(Settings(), "registry.example.com/app:1", "app", login)
    assert (image.reference, image.credentials) == ("registry.example.com/app:1", login)


@pytest.mark.parametrize("base", ["jarvice/apps", "/jarvice/apps/"])
def test_with_a_local_registry_it_comes_from_there_under_its_id(base: str) -> None:
    settings = Settings(local_registry="local:5000", local_repo_base=base)
    assert app_image(settings, "ghcr.io/x:1", "app", NOBODY).reference == "local:5000/jarvice/apps/app:latest"


def test_a_local_registry_needs_no_repository() -> None:
    settings = Settings(local_registry="local:5000")
    assert app_image(settings, "", "app", NOBODY).reference == "local:5000/app:latest"


@pytest.mark.parametrize(
    ("repo", "reference"),
    [
        ("registry.example.com/physics/solver:4", "localhost:5005/physics/solver:4"),
        ("quay.io/a:1", "localhost:5005/a:1"),
        ("registry.example.com/other/solver:4", "registry.example.com/other/solver:4"),
    ],
)
def test_some_repositories_go_through_the_proxy(repo: str, reference: str) -> None:
    settings = Settings(
        registry_proxy_port="5005", registry_proxy_repos=("registry.example.com/physics", "quay.io/")
    )
    assert app_image(settings, repo, "app", NOBODY).reference == reference


def test_without_a_port_there_is_no_proxy() -> None:
    settings = Settings(registry_proxy_repos=("ghcr.io",))
    assert app_image(settings, "ghcr.io/a", "app", NOBODY).reference == "ghcr.io/a"


def test_the_init_image_is_named_after_the_application_definition() -> None:
    settings = Settings(
        system_registry="r", system_repo_base="b/c", images_tag="t", docker_username="u", docker_password="p"
    )
    image = init_image(settings, 3, "amd64")
    assert image.reference == "r/b/c/initv3:t"
    assert image.credentials == Credentials("u", "p")


def test_a_tag_of_this_machine_is_switched_to_the_jobs_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for tag, wanted in [("1.2-amd64", "1.2-arm64"), ("1.2-arm64", "1.2-arm64"), ("amd64", "amd64")]:
        assert init_image(Settings(images_tag=tag), 2, "arm64").reference.rpartition(":")[2] == wanted


@pytest.mark.parametrize(
    ("reference", "registries", "found"),
    [
        ("ghcr.io/a/b:1", ("ghcr.io",), True),
        ("ghcr.io/a/b:1", ("ghcr.io/",), True),
        ("ghcr.io/a/b:1", ("quay.io", "ghcr.io/a"), True),
        ("ghcr.io.evil.example/a", ("ghcr.io",), False),
        ("ghcr.io/ab", ("ghcr.io/a",), False),
        ("ghcr.io/a", (), False),
    ],
)
def test_images_that_all_users_share(reference: str, registries: tuple[str, ...], found: bool) -> None:
    assert in_global_registries(Settings(job_global_registries=registries), reference) is found


def test_unset_global_registries_match_nothing() -> None:
    assert not in_global_registries(Settings(), "ubuntu")
