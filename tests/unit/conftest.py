"""Fixtures for tests with an SSH server in this process, of slurmrestd, of the command line, and of pulls."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest

from pipeline.connectors import Connector
from pipeline.connectors.slurm.choice import by_slurmrestd
from pipeline.connectors.slurm.management_by_slurmrestd import ManagementBySlurmrestd
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.transport.ssh import Host, Login, SshTransport
from tests.harness.command_line import CommandLine, behind_ssh, on_this_machine
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.fake_slurmrestd import FakeSlurmrestd
from tests.harness.jobs import job
from tests.harness.keys import private_key_text
from tests.harness.pulling_site import Site
from tests.harness.ssh_server import SshServer, new_host_key

KEY = private_key_text()
LOGIN = Login("kirby", KEY)

Connect = Callable[..., SshTransport]
OverSlurmrestd = Callable[..., Connector]
Manage = Callable[..., ManagementBySlurmrestd]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    """Lets jarvice, kirby, mario and the users u0 to u9 in, all with the same key."""
    public = paramiko.Ed25519Key.from_private_key(io.StringIO(KEY))
    users = dict.fromkeys(["jarvice", "kirby", "mario", *(f"u{number}" for number in range(10))], public)
    server = SshServer(tmp_path / "homes", users, new_host_key())
    yield server
    server.stop()


@pytest.fixture
def connect(server: SshServer, tmp_path: Path) -> Iterator[Connect]:
    """Makes transports to the server; words of ``Host`` and of ``SshTransport`` change them."""
    transports: list[SshTransport] = []

    def make(max_connections: int = 64, idle_timeout: float = 300, **host: Any) -> SshTransport:
        words = {"port": server.port, "known_hosts": tmp_path / "known_hosts", "connect_timeout": 5.0, **host}
        transports.append(
            SshTransport(
                Host("127.0.0.1", **words), max_connections=max_connections, idle_timeout=idle_timeout
            )
        )
        return transports[-1]

    yield make
    for transport in transports:
        transport.close()


@pytest.fixture
def batch() -> BatchScript:
    """Of one job, with the default settings."""
    return Renderer(Settings()).batch_script(job())


@pytest.fixture
def over_slurmrestd(slurmrestd: FakeSlurmrestd, tmp_path: Path) -> Iterator[OverSlurmrestd]:
    """Makes connectors to the stand-in of slurmrestd, without SSH; words of ``Settings`` change them."""
    connectors: list[Connector] = []

    def make(**changes: Any) -> Connector:
        settings = slurmrestd.settings(tmp_path)
        connectors.append(by_slurmrestd(replace(settings, **({"command_timeout": 5} | changes))))
        return connectors[-1]

    yield make
    for connector in connectors:
        connector.close()


@pytest.fixture
def manage(over_slurmrestd: OverSlurmrestd) -> Manage:
    """Makes the part of such connectors that manages jobs."""

    def make(**changes: Any) -> ManagementBySlurmrestd:
        management = over_slurmrestd(**changes).management
        assert isinstance(management, ManagementBySlurmrestd)
        return management

    return make


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    """Slurm's commands, for the command line."""
    return FakeSlurm(tmp_path / "slurm")


@pytest.fixture
def command(server: SshServer, slurm: FakeSlurm, tmp_path: Path) -> Iterator[CommandLine]:
    """The command line against that Slurm, for kirby and mario."""
    command = behind_ssh(tmp_path, server.port, slurm.folder, KEY)
    yield command
    command.stop()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line with the local connector."""
    command = on_this_machine(tmp_path)
    yield command
    command.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.registry.stop()
    site.tokens.stop()
