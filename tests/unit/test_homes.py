"""Users' home folders: what the site says, or what the cluster says, asked now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.connectors.slurm.homes import HomesByHost, HomesByPattern
from pipeline.errors import DownstreamError, Nonsense, NotAllowed, Unavailable
from pipeline.settings import Settings
from pipeline.slurm.folders import HomeFolder
from pipeline.transport import Completed
from tests.harness.bash import Sandbox
from tests.harness.fake_slurm import FakeSlurm
from tests.harness.ssh_server import SshServer
from tests.unit.conftest import KEY


def parsed(stdout: str, code: int = 0, stderr: str = "") -> str:
    return HomeFolder("kirby").parse(Completed(code, stdout.encode(), stderr.encode()))


@pytest.mark.parametrize(
    ("line", "home"),
    [
        ("kirby:x:2002:2002:Kirby of the Stars:/home/kirby:/bin/bash\n", "/home/kirby"),
        ("kirby:*:2002:2002::/home/kirby/:\n", "/home/kirby"),
        ("kirby:x:2002:2002:,,,:/data/ho me/kirby:/usr/sbin/nologin", "/data/ho me/kirby"),
    ],
)
def test_the_home_folder_of_a_line_of_the_passwd_database(line: str, home: str) -> None:
    assert parsed(line) == home


@pytest.mark.parametrize(
    ("stdout", "code", "stderr", "kind"),
    [
        ("", 2, "", NotAllowed),
        ("", 1, "getent: Invalid argument", Unavailable),
        ("", 127, "bash: getent: command not found", Unavailable),
        ("", 3, "", Unavailable),
        ("", 0, "", Nonsense),
        ("Welcome to the cluster!\n", 0, "", Nonsense),
        ("kirby:x:2002:2002::home/kirby:/bin/bash\n", 0, "", Nonsense),
        ("kirby:x:2002:2002:::/bin/bash\n", 0, "", Nonsense),
    ],
)
def test_what_is_no_home_folder_is_an_error(
    stdout: str, code: int, stderr: str, kind: type[DownstreamError]
) -> None:
    with pytest.raises(DownstreamError, match="kirby") as fault:
        parsed(stdout, code, stderr)
    assert type(fault.value) is kind


def test_getent_is_asked_for_one_user_and_for_nothing_else(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    assert HomeFolder("root").parse(sandbox.run(HomeFolder("root").line())) == "/root"
    for user in ("-s", "no; touch x", "nobody-of-that-name"):
        with pytest.raises(NotAllowed):
            HomeFolder(user).parse(sandbox.run(HomeFolder(user).line()))
    assert list(sandbox.home.iterdir()) == []


def test_a_site_says_where_all_homes_are() -> None:
    assert HomesByPattern("/home/%u").of("kirby") == "/home/kirby"
    assert HomesByPattern("/data/%u/jobs-of-%u").of("kirby") == "/data/kirby/jobs-of-kirby"


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    slurm = FakeSlurm(tmp_path / "slurm")
    slurm.command("getent", '[ "$3" != bowser ] || exit 2; echo "$3:x:1:1::/home/$3:/bin/bash"')
    return slurm


@pytest.fixture
def homes(server: SshServer, slurm: FakeSlurm, tmp_path: Path) -> Iterator[HomesByHost]:
    host = ClusterHost(
        Settings(
            slurm_cluster_addr="127.0.0.1",
            slurm_cluster_port=server.port,
            slurm_ssh_pkey=KEY,
            slurm_bin_dir=str(slurm.folder),
            state_dir=tmp_path / "state",
        )
    )
    yield HomesByHost(host)
    host.close()


def test_the_cluster_is_asked_once_for_each_user_by_the_entry_user(
    homes: HomesByHost, slurm: FakeSlurm
) -> None:
    assert [homes.of(user) for user in ("kirby", "mario", "kirby")] == [
        "/home/kirby", "/home/mario", "/home/kirby",
    ]  # fmt: skip
    assert slurm.calls("getent") == [f"jarvice getent passwd -- {user}" for user in ("kirby", "mario")]


def test_after_an_hour_it_is_asked_again(
    homes: HomesByHost, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes.of("kirby")
    later = time.monotonic() + 3601
    slurm.command("getent", "echo 'kirby:x:1:1::/new/kirby:/bin/bash'")
    assert homes.of("kirby") == "/home/kirby"
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.connectors.slurm.homes.time.monotonic", lambda: later)
        patched.setattr("pipeline.transport.ssh.pool.time.monotonic", lambda: later)
        assert homes.of("kirby") == "/new/kirby"


def test_a_user_that_is_not_there_is_asked_for_again(homes: HomesByHost, slurm: FakeSlurm) -> None:
    for _ in range(2):
        with pytest.raises(NotAllowed, match="the cluster has no user 'bowser'"):
            homes.of("bowser")
    assert len(slurm.calls("getent")) == 2
