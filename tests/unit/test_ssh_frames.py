"""What a connection that is cut in the middle of a command leaves behind, with a real bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.transport.ssh import shell

SCRIPT = b"".join(b"line %d\n" % number for number in range(2000))
MARK = "ab" * 16


def _fed(folder: Path, sent: bytes) -> bytes:
    """What a remote shell did with these bytes before its input ended: the file that the line writes."""
    subprocess.run(
        ["bash", "--noprofile", "--norc"],
        input=shell._OPEN_INPUT_FILE + sent,
        cwd=folder,
        capture_output=True,
        timeout=20,
        check=False,
    )
    done = folder / "done"
    return done.read_bytes() if done.exists() else b""


def test_a_whole_command_gets_its_whole_input(tmp_path: Path) -> None:
    assert _fed(tmp_path, shell._frame("cat >done", SCRIPT, MARK)) == SCRIPT


def test_wherever_the_connection_is_cut_no_command_begins_with_a_part_of_its_input(tmp_path: Path) -> None:
    frame = shell._frame("cat >done", SCRIPT, MARK)
    after_input = frame.index(SCRIPT) + len(SCRIPT)
    upload = [0, 5, 30, frame.index(SCRIPT), frame.index(SCRIPT) + 1, len(SCRIPT) // 2, after_input - 1]
    for cut in [*upload, *range(after_input, len(frame))]:
        (tmp_path / "done").unlink(missing_ok=True)
        assert _fed(tmp_path, frame[:cut]) in (b"", SCRIPT), f"cut at {cut} of {len(frame)}"


def test_input_that_is_not_wanted_is_not_the_next_command(tmp_path: Path) -> None:
    hostile = b"echo hostile >done\n" * 1000
    _fed(tmp_path, shell._frame("true", hostile, MARK) + shell._frame("echo mine >done", b"", MARK))
    assert (tmp_path / "done").read_text() == "mine\n"


@pytest.mark.parametrize("limit", [1, 8])
def test_input_that_finds_no_room_is_not_the_next_command(tmp_path: Path, limit: int) -> None:
    hostile = b"echo hostile >done\n" * 4000
    too_small = f"ulimit -f {limit}; trap '' XFSZ\n".encode()
    assert _fed(tmp_path, too_small + shell._frame("cat >done", hostile, MARK)) == b""
