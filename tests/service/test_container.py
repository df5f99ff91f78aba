"""The service as a container runs it: not as root, without privileges, on a read-only root file system."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.forms import form, script
from tests.harness.service import Service
from tests.service.conftest import LOCAL

TOP = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory, state: Path) -> Iterator[Service]:
    if os.geteuid() != 0:
        pytest.skip("only root can make a root file system of its own")
    folder = tmp_path_factory.mktemp("contained")
    root = tmp_path_factory.mktemp("root")
    settings = {
        **LOCAL,
        "HOME": "/state",
        "JARVICE_DOWNSTREAM_STATE_DIR": "/state",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    shown = dict.fromkeys(map(str, (sys.base_prefix, sys.prefix, TOP)))
    outside = [path for path in shown if not path.startswith("/usr/") and path != "/usr"]
    command = [
        "unshare", "--mount", str(TOP / "tests" / "harness" / "read-only-root.sh"), str(root), str(state),
        *outside, "--", sys.executable, str(TOP / "main.py"),
    ]  # fmt: skip
    service = Service(folder, settings, command).start()
    yield service
    service.stop()


def test_it_answers_renders_and_runs_a_job(contained: Service) -> None:
    assert contained.get("/live").json() == {"status": "OK"}
    sent = contained.submit(form(script("echo said; touch /new /etc/new /usr/new; id -u; touch /state/new")))
    assert "#SBATCH" in sent.script
    end = contained.exit_of(sent)
    assert end.output.count("Read-only file system") == 3
    assert str(NOBODY) in end.output.splitlines()


def test_it_has_no_privileges_and_can_get_none(contained: Service) -> None:
    status = Path(f"/proc/{contained.pid}/status").read_text(encoding="ascii")
    said = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert said["Uid"].split() == [str(NOBODY)] * 4
    assert said["Gid"].split() == [str(NOBODY)] * 4
    assert {int(said[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert said["NoNewPrivs"] == "1"


def test_it_misses_nothing_that_it_would_write(contained: Service, state: Path) -> None:
    assert "Read-only file system" not in contained.log()
    assert "Traceback" not in contained.log()
    assert {file.stat().st_uid for file in state.rglob("*") if not file.is_symlink()} == {NOBODY}


def test_the_image_says_the_same() -> None:
    lines = (TOP / "container" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    [user] = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert all(number.isdecimal() and int(number) > 0 for number in user.split(":"))
    assert any("PYTHONDONTWRITEBYTECODE=1" in line for line in lines)
    assert any("JARVICE_DOWNSTREAM_STATE_DIR=/state" in line for line in lines)
