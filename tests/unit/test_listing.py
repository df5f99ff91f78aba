"""Listings of folders: what is shown, and that nothing else is; by real bash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.connectors.slurm.management_by_commands import ManagementByCommands
from pipeline.errors import InvalidRequest, NotAllowed, NotFound
from pipeline.job import JobFiles, JobStatus, Phase
from pipeline.settings import Settings
from pipeline.slurm import folders
from pipeline.slurm.folders import Listing
from pipeline.transport.ssh import Login
from tests.harness.bash import Sandbox
from tests.harness.jobs import NAME
from tests.harness.ssh_server import SshServer
from tests.unit.conftest import KEY


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def listing(sandbox: Sandbox, path: str, *roots: str, details: bool = False) -> list[str]:
    command = Listing(path, details, roots)
    text = command.parse(sandbox.run(command.line()))
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def test_folders_come_first_and_have_a_slash_then_files_by_name(sandbox: Sandbox) -> None:
    home = sandbox.home
    for folder in ("z folder", "a"):
        (home / folder).mkdir()
    for file in ("b file", "%s\\n", ".hidden"):
        (home / file).write_text("12345")
    names = ["", "a/", "z folder/", "%s\\n", ".hidden", "b file"]
    assert listing(sandbox, f"{home}/") == [f"/data{home}/{name}" for name in names]
    [file] = [line for line in listing(sandbox, str(home), details=True) if line.endswith("b file")]
    mtime, size, path = file.split(" ", 2)
    assert (mtime.isdecimal(), size, path) == (True, "5", f"/data{home}/b file")


def test_a_home_that_is_the_whole_file_system_is_no_root_unless_it_is_named(sandbox: Sandbox) -> None:
    sandbox.environment["HOME"] = "/"
    for path in ("/", "/etc"):
        with pytest.raises(NotAllowed, match="JARVICE_DOWNSTREAM_PVCLS_ROOTS"):
            listing(sandbox, path)
    assert "/data/etc/" in listing(sandbox, "/", "/")


def test_only_what_lies_under_the_roots_is_shown(sandbox: Sandbox, tmp_path: Path) -> None:
    inside, outside = tmp_path / "open", tmp_path / "open-not"
    for folder in (inside, outside):
        folder.mkdir()
    (inside / "link").symlink_to(outside)
    assert listing(sandbox, str(inside), "/not/there", str(inside)) == [f"/data{inside}/"]
    for path in (str(outside), f"{inside}/../open-not", f"{inside}/link", f"{inside}/link/..", "/"):
        with pytest.raises(NotAllowed, match="JARVICE_DOWNSTREAM_PVCLS_ROOTS"):
            listing(sandbox, path, str(inside))


def test_a_root_may_be_a_link_and_a_path_may_go_up_and_down_in_it(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "real" / "folder").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    assert listing(sandbox, str(link), str(link)) == [f"/data{link}/", f"/data{link}/folder/"]
    assert listing(sandbox, f"{link}/folder/..", str(link))
    assert listing(sandbox, str(tmp_path / "real"), str(link))


def test_a_root_is_a_name_and_no_pattern(sandbox: Sandbox, tmp_path: Path) -> None:
    root, other = tmp_path / "a*", tmp_path / "ab"
    root.mkdir()
    other.mkdir()
    assert listing(sandbox, str(root), str(root))
    with pytest.raises(NotAllowed):
        listing(sandbox, str(other), str(root))


@pytest.mark.parametrize("end", ["\n", "\n\n", "x"])
def test_a_line_break_at_the_end_of_a_name_counts(sandbox: Sandbox, tmp_path: Path, end: str) -> None:
    (tmp_path / f"root{end}").mkdir()
    (tmp_path / "root").mkdir()
    with pytest.raises(NotAllowed):
        listing(sandbox, str(tmp_path / f"root{end}"), str(tmp_path / "root"))
    with pytest.raises(NotAllowed):
        listing(sandbox, str(tmp_path / "root"), str(tmp_path / f"root{end}"))


def test_a_link_that_takes_the_paths_place_meanwhile_shows_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "folder").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").touch()
    swap = f'rmdir "{root}/folder" 2>/dev/null && ln -s "{outside}" "{root}/folder"'
    sandbox.command(
        "realpath", f'/usr/bin/realpath "$@"; code=$?; [ "$1" != -m ] || {{ {swap}; }}; exit $code'
    )
    with pytest.raises(NotAllowed):
        listing(sandbox, str(root / "folder"), str(root))
    assert (root / "folder").is_symlink()


def test_links_are_neither_shown_nor_followed(sandbox: Sandbox) -> None:
    (sandbox.home / "to root").symlink_to("/")
    (sandbox.home / "to a file").symlink_to("/etc/passwd")
    os.mkfifo(sandbox.home / "pipe")
    assert listing(sandbox, str(sandbox.home), details=True)[1:] == []


def test_no_name_makes_a_line_of_another(sandbox: Sandbox) -> None:
    home = sandbox.home
    for name in ("a\n1700000000 5 forged", "b\rc", "d\x1b[2J", "e\u2028f", "g\x85h"):
        (home / name).touch()
    (home / "rest").touch()
    assert listing(sandbox, str(home)) == [f"/data{home}/", f"/data{home}/rest"]


def test_a_name_that_is_not_utf_8_is_shown_as_such(sandbox: Sandbox) -> None:
    Path(os.fsdecode(os.fsencode(sandbox.home) + b"/\xff")).touch()
    assert listing(sandbox, str(sandbox.home))[1] == f"/data{sandbox.home}/\ufffd"


def test_a_part_of_a_large_folder_is_not_shown_as_all(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST_ENTRIES", 20)
    for number in range(20):
        (sandbox.home / str(number)).touch()
    assert len(listing(sandbox, str(sandbox.home))) == 21
    (sandbox.home / "one more").touch()
    with pytest.raises(InvalidRequest, match="holds more than 20 folders and files"):
        listing(sandbox, str(sandbox.home))


def test_without_roots_the_home_folder_is_listed_and_nothing_else(sandbox: Sandbox) -> None:
    with pytest.raises(NotAllowed):
        listing(sandbox, str(sandbox.home.parent))


@pytest.mark.parametrize("path", ["/not/there", "/etc/\n/passwd"])
def test_nobody_is_told_what_is_there_outside_of_the_roots(sandbox: Sandbox, path: str) -> None:
    with pytest.raises(NotAllowed):
        listing(sandbox, path)


@pytest.mark.parametrize("path", ["not/there", "$(touch x)", "-delete", "file"])
def test_a_folder_that_is_not_there_is_not_found_and_never_run(sandbox: Sandbox, path: str) -> None:
    (sandbox.home / "file").touch()
    with pytest.raises(NotFound, match="is not there"):
        listing(sandbox, path)
    assert not list(sandbox.home.rglob("x"))


class _Files:
    """Each job's files are its owner's."""

    def reach(self, user: str, name: str) -> tuple[Login, JobFiles]:
        return Login(user, KEY), JobFiles("", name)

    def users(self) -> Iterator[str]:
        return iter(())


def test_of_a_job_it_is_what_the_jobs_owner_sees(server: SshServer, tmp_path: Path) -> None:
    settings = Settings(
        slurm_cluster_addr="127.0.0.1", slurm_cluster_port=server.port, slurm_ssh_pkey=KEY,
        state_dir=tmp_path / "state",
    )  # fmt: skip
    host = ClusterHost(settings)
    management = ManagementByCommands(settings, host, _Files())
    home = server.home("kirby")
    job = JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING)
    try:
        assert management.listing(str(home), details=False, job=job).startswith(f"/data{home}/\n")
        with pytest.raises(NotAllowed):
            management.listing(str(home), details=False)
        with pytest.raises(NotAllowed):
            management.listing(str(server.home("jarvice")), details=False, job=job)
    finally:
        host.close()
