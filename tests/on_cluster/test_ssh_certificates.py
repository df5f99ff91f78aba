"""No key but the one that signs: users, and the entry user, log in by certificates that real sshd trusts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.errors import Unavailable
from pipeline.transport import Limits
from pipeline.transport.ssh import Authority, Host, Login, SshTransport
from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.keys import private_key_text
from tests.harness.secret_files import write_secret
from tests.harness.service import Service
from tests.harness.slurmrestd import at


@pytest.fixture(scope="module")
def settings(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of a start script that has no user's key, and takes no host's key unseen."""
    ca_key = write_secret(tmp_path_factory.mktemp("ca") / "key", cluster.key("user_ca"))
    settings = {key: value for key, value in cluster.settings().items() if key != "JARVICE_SLURM_SSH_PKEY"}
    return {
        **settings,
        "JARVICE_SLURM_SSH_CA_KEY_FILE": str(ca_key),
        "JARVICE_SLURM_KNOWN_HOSTS": cluster.info["known_hosts"],
        "JARVICE_SLURM_HOST_KEYS": "strict",
    }


@pytest.fixture
def service(settings: dict[str, str], tmp_path: Path, start_service: Callable[..., Service]) -> Service:
    map_users(tmp_path, "kirby", "mario")
    return start_service(settings, tmp_path)


def map_users(folder: Path, *users: str) -> None:
    """A mapping without keys, which takes the place of the one before."""
    entries = [{"mail": f"{user}@example.com", "mapped_user": user} for user in users]
    new = folder / "new.yaml"
    new.write_text(yaml.safe_dump({"users_id_mapping": entries}))
    new.replace(folder / "users_id_mapping_configuration.yaml")


def test_a_job_is_submitted_followed_and_collected_without_any_stored_user_key(
    service: Service, cluster: Cluster
) -> None:
    job = service.submit(form(script("echo I am $(id -un)")))
    ended = service.exit_of(job)
    assert (ended.code, ended.state) == (0, "COMPLETED")
    assert "I am kirby" in ended.output
    assert cluster.files("kirby", job.name) == []
    log = (Path(cluster.info["logs"]) / "head" / "sshd.out").read_text(errors="replace")
    for user in ("kirby", "jarvice"):
        named = rf'ID "?jarvice-downstream@\S+ for {user}"? \(serial'
        assert re.search(rf"Accepted publickey for {user} .* {named}", log)


def test_the_mapping_is_read_again_while_the_service_runs(service: Service) -> None:
    map_users(service.folder, "mario")
    reply = service.post("/submit", form(script("true")))
    assert reply.status_code == 403
    assert "kirby@example.com" in reply.text
    map_users(service.folder, "kirby")
    job = service.submit(form(script("true"), held=True))
    service.post("/terminate", job.ref)


def test_slurmrestd_is_reached_with_a_certificate_of_the_entry_user(
    settings: dict[str, str], cluster: Cluster, tmp_path: Path, start_service: Callable[..., Service]
) -> None:
    service = start_service(
        {**settings, "JARVICE_SLURM_INTERFACE": "http", **at(cluster.inside_url)}, tmp_path
    )
    assert service.get("/gc").json() == {"status": "OK"}
    job = service.submit(form(script("true"), held=True))
    service.post("/terminate", job.ref)


# ---- what sshd refuses ----


@pytest.fixture
def whoami(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[[Authority, str], str]]:
    """Logs in as a user with a certificate of an authority."""
    transports = []

    def ask(authority: Authority, user: str) -> str:
        where = cluster.info["ssh"]
        host = Host(where["host"], where["port"], known_hosts=tmp_path / "known_hosts", authority=authority)
        transports.append(SshTransport(host))
        return transports[-1].run(Login(user), "id -un", Limits(seconds=20)).text().strip()

    yield ask
    for transport in transports:
        transport.close()


class Impostor(Authority):
    """Signs for kirby, whoever logs in."""

    def key_for(self, user: str, *, forwards: bool = False):  # type: ignore[no-untyped-def]
        return super().key_for("kirby", forwards=forwards)


def test_sshd_takes_what_is_right(cluster: Cluster, whoami: Callable[[Authority, str], str]) -> None:
    for user in ("kirby", "mario"):
        assert whoami(Authority(cluster.key("user_ca")), user) == user


def test_sshd_refuses_what_is_not(cluster: Cluster, whoami: Callable[[Authority, str], str]) -> None:
    ours = cluster.key("user_ca")
    for authority, user in (
        (Authority(private_key_text("ed25519")), "kirby"),
        (Authority(ours, clock=lambda: time.time() - 3600), "kirby"),
        (Authority(ours, clock=lambda: time.time() + 3600), "kirby"),
        (Impostor(ours), "mario"),
        (Impostor(ours), "root"),
    ):
        with pytest.raises(Unavailable, match=r"the login was refused; .*TrustedUserCAKeys"):
            whoami(authority, user)
