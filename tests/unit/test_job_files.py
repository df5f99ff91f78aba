"""A job's files on the cluster: output, exit record, removal; by real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import Nonsense, NotFound, OutOfReach, Unavailable
from pipeline.job import JobFiles, Piece
from pipeline.slurm.job_files import (
    PIECE_BYTES,
    ExitRecord,
    OutputFrom,
    ReadClaim,
    ReadRecord,
    Remove,
    RemoveLogins,
    Tail,
)
from pipeline.transport import Completed
from tests.harness.bash import Sandbox

NAME = "2024-x"
SCRATCHES = ["", 'it\'s "scratch" $(touch x)/']


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def tail(sandbox: Sandbox, lines: int, scratch: str = "", most_bytes: int = 1_000_000) -> bytes | None:
    command = Tail(JobFiles(scratch, NAME), lines, most_bytes)
    return command.parse(sandbox.run(command.line()))


def write_output(sandbox: Sandbox, data: bytes, scratch: str = "") -> None:
    file = sandbox.home / f"{scratch}.jarvice" / f"{NAME}.out"
    file.parent.mkdir(parents=True)
    file.write_bytes(data)


@pytest.mark.parametrize("scratch", SCRATCHES)
def test_the_last_lines_of_the_output(sandbox: Sandbox, scratch: str) -> None:
    write_output(sandbox, b"one\ntwo\nthree", scratch)
    assert tail(sandbox, 2, scratch) == b"two\nthree"
    assert tail(sandbox, 0, scratch) == b"one\ntwo\nthree"
    assert tail(sandbox, 100, scratch) == b"one\ntwo\nthree"


def test_before_there_is_output_there_is_none(sandbox: Sandbox) -> None:
    assert tail(sandbox, 100) is None


def test_a_shell_that_stays_while_its_home_is_moved_reads_in_the_new_one(sandbox: Sandbox) -> None:
    files = JobFiles("", NAME)
    old, new = sandbox.home, sandbox.home.with_name("new")
    control = new / files.control
    control.mkdir(parents=True)
    (control / "jobid").write_text("7\n")
    (control / "exit").write_text("7 3 100 160\n")
    (new / files.output).write_text("out\n")
    moved = f'mv "{old}" "{old}.old" && mv "{new}" "{old}"; '
    read, output = ReadRecord(files, "7"), Tail(files, 0, 100)
    assert read.parse(sandbox.run(moved + read.line())) == ExitRecord("7", 3, 100, 160)
    assert output.parse(sandbox.run(f'cd "{old}.old"; {output.line()}')) == b"out\n"


def test_empty_output_is_output(sandbox: Sandbox) -> None:
    write_output(sandbox, b"")
    assert tail(sandbox, 100) == b""


def test_output_may_be_any_bytes(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 100
    write_output(sandbox, data)
    assert tail(sandbox, 0) == data


def test_output_is_cut_to_its_last_part(sandbox: Sandbox) -> None:
    write_output(sandbox, b"x" * 100 + b"\nend\n")
    assert tail(sandbox, 0, most_bytes=4) == b"end\n"
    assert tail(sandbox, 50, most_bytes=6) == b"x\nend\n"


def test_output_that_is_there_and_cannot_be_read_is_an_error(sandbox: Sandbox) -> None:
    (sandbox.home / ".jarvice" / f"{NAME}.out").mkdir(parents=True)
    for lines in (0, 10):
        with pytest.raises(Unavailable, match="cannot read the job's output"):
            tail(sandbox, lines)


def output_from(sandbox: Sandbox, offset: int) -> Piece | None:
    command = OutputFrom(JobFiles("", NAME), offset)
    return command.parse(sandbox.run(command.line()))


def test_output_from_a_byte_on(sandbox: Sandbox) -> None:
    assert output_from(sandbox, 0) is None
    data = bytes(range(256)) * 100
    write_output(sandbox, data)
    for offset in (0, 1, 255, len(data), len(data) + 5):
        assert output_from(sandbox, offset) == Piece(data[offset:], len(data))


def test_output_that_is_long_comes_in_pieces(sandbox: Sandbox) -> None:
    write_output(sandbox, b"x" * (PIECE_BYTES + 10))
    assert output_from(sandbox, 5) == Piece(b"x" * PIECE_BYTES, PIECE_BYTES + 10)


def test_a_piece_of_output_that_cannot_be_read_is_an_error(sandbox: Sandbox) -> None:
    (sandbox.home / ".jarvice" / f"{NAME}.out").mkdir(parents=True)
    with pytest.raises(Unavailable, match="cannot read the job's output"):
        output_from(sandbox, 0)
    for answer in (b"", b"many\nx"):
        with pytest.raises(Nonsense, match="size"):
            OutputFrom(JobFiles("", NAME), 0).parse(Completed(0, answer))


@pytest.mark.parametrize(
    ("marks", "job_id"),
    [({"jobid": "12\n"}, "12"), ({"jobid": "12;cluster\n"}, "12"), ({"started": "13\n"}, "13"),
     ({"jobid": "", "started": "13\n"}, "13"), ({}, ""), ({"jobid": "no\n"}, ""),
     ({"jobid": "1"}, ""), ({"jobid": "1", "started": "13\n"}, "13"), ({"started": "1"}, "")],
)  # fmt: skip
def test_the_id_that_a_name_was_claimed_for(sandbox: Sandbox, marks: dict[str, str], job_id: str) -> None:
    command = ReadClaim(JobFiles("", NAME))
    with pytest.raises(NotFound):
        command.parse(sandbox.run(command.line()))
    control = sandbox.home / ".jarvice" / "control" / NAME
    control.mkdir(parents=True)
    for mark, text in marks.items():
        (control / mark).write_text(text)
    assert command.parse(sandbox.run(command.line())) == job_id


def read_record(sandbox: Sandbox, text: str | None) -> ExitRecord | None:
    control = sandbox.home / ".jarvice" / "control" / NAME
    control.mkdir(parents=True)
    if text is not None:
        (control / "exit").write_text(text)
    command = ReadRecord(JobFiles("", NAME), "123")
    return command.parse(sandbox.run(command.line()))


def test_an_exit_record(sandbox: Sandbox) -> None:
    assert read_record(sandbox, "123 5 1700000000 1700000009\n") == ExitRecord(
        "123", 5, 1700000000, 1700000009
    )


@pytest.mark.parametrize("text", [None, ""])
def test_a_task_that_did_not_come_to_its_end_left_no_record(sandbox: Sandbox, text: str | None) -> None:
    assert read_record(sandbox, text) is None


@pytest.mark.parametrize(
    "text", ["123 5\n", "123 five 1 2\n", "1 2 3 4 5\n", "123 -1 1 2\n", f"1 2 3 {'4' * 5000}"]
)
def test_a_record_that_cannot_be_read_is_an_error(sandbox: Sandbox, text: str) -> None:
    with pytest.raises(Nonsense, match="exit record"):
        read_record(sandbox, text)


def test_without_a_control_folder_there_is_no_record_to_read(sandbox: Sandbox) -> None:
    command = ReadRecord(JobFiles("", NAME), "123")
    with pytest.raises(NotFound):
        command.parse(sandbox.run(command.line()))


@pytest.mark.parametrize("scratch", SCRATCHES)
def test_all_files_of_one_job_are_removed_and_no_others(sandbox: Sandbox, scratch: str) -> None:
    base = sandbox.home / f"{scratch}.jarvice"
    for kept in ("other.out", "control/other/jobid", "jobs/124/data", f"{NAME}.out2"):
        (base / kept).parent.mkdir(parents=True, exist_ok=True)
        (base / kept).touch()
    for gone in (f"{NAME}.out", f"control/{NAME}/jobid", "jobs/123/deep/data"):
        (base / gone).parent.mkdir(parents=True, exist_ok=True)
        (base / gone).touch()
    command = Remove(JobFiles(scratch, NAME), "123")
    for _ in range(2):
        command.parse(sandbox.run(command.line()))
    left = {str(file.relative_to(base)) for file in base.rglob("*") if file.is_file()}
    assert left == {"other.out", "control/other/jobid", "jobs/124/data", f"{NAME}.out2"}


@pytest.mark.parametrize("mark", ["jobid", "started"])
def test_the_files_of_another_job_of_the_name_are_left_alone(sandbox: Sandbox, mark: str) -> None:
    base = sandbox.home / ".jarvice"
    (base / "control" / NAME).mkdir(parents=True)
    (base / "control" / NAME / mark).write_text("100\n")
    (base / f"{NAME}.out").touch()
    (base / "jobs" / "123").mkdir(parents=True)
    command = Remove(JobFiles("", NAME), "123")
    command.parse(sandbox.run(command.line()))
    assert (base / f"{NAME}.out").exists()
    assert (base / "control" / NAME / mark).exists()
    assert not (base / "jobs" / "123").exists()


def remove_logins(sandbox: Sandbox) -> None:
    command = RemoveLogins(JobFiles("", NAME), "7")
    command.parse(sandbox.run(command.line()))


@pytest.mark.parametrize("mark", ["7\n", "7;cluster\n", ""])
def test_only_the_logins_of_a_job_are_removed(sandbox: Sandbox, mark: str) -> None:
    remove_logins(sandbox)  # nothing is there
    control = sandbox.home / ".jarvice" / "control" / NAME
    control.mkdir(parents=True)
    (control / "jobid").write_text(mark)
    remove_logins(sandbox)  # the job has none
    (control / "secrets").write_text("s|a|b|g\n")
    remove_logins(sandbox)
    assert [file.name for file in control.iterdir()] == ["jobid"]


def test_the_logins_of_another_job_of_the_name_are_left_alone(sandbox: Sandbox) -> None:
    control = sandbox.home / ".jarvice" / "control" / NAME
    control.mkdir(parents=True)
    (control / "jobid").write_text("8\n")
    (control / "secrets").write_text("s|a|b|g\n")
    remove_logins(sandbox)
    assert (control / "secrets").exists()


def test_logins_that_cannot_be_removed_are_told(sandbox: Sandbox) -> None:
    control = sandbox.home / ".jarvice" / "control" / NAME
    (control / "secrets").mkdir(parents=True)
    with pytest.raises(Unavailable, match=r"cannot remove the job's registry logins: .*secrets"):
        remove_logins(sandbox)


def test_what_can_be_removed_is_removed_though_not_all_can(sandbox: Sandbox) -> None:
    (sandbox.home / ".jarvice").mkdir()
    output = sandbox.home / ".jarvice" / f"{NAME}.out"
    output.touch()
    sandbox.command("rm", 'case "$*" in */jobs/*) echo "rm: busy" >&2; exit 1 ;; esac; exec /bin/rm "$@"')
    command = Remove(JobFiles("", NAME), "123")
    with pytest.raises(Unavailable, match="busy"):
        command.parse(sandbox.run(command.line()))
    assert not output.exists()


def test_what_cannot_be_removed_is_told(sandbox: Sandbox) -> None:
    sandbox.command("rm", "echo 'rm: cannot remove: Device or resource busy' >&2; exit 1")
    command = Remove(JobFiles("", NAME), "123")
    with pytest.raises(Unavailable, match=r"cannot remove the job's files: rm: .*busy"):
        command.parse(sandbox.run(command.line()))


# ---- files that the user who manages jobs may not reach ----


@pytest.fixture
def home() -> Iterator[Path]:
    """A user's home folder that others may look into, for as long as a test lets them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / ".jarvice").mkdir(mode=0o755)
    yield folder
    folder.chmod(0o700)
    (folder / ".jarvice").chmod(0o700)
    shutil.rmtree(folder)


def as_another(line: str) -> Completed:
    """Run a line of bash as a user who owns nothing; root may do everything."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*nobody, "bash", "-c", line],
        cwd="/",
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/"},
        capture_output=True,
        check=False,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


def tail_as_another(home: Path) -> bytes | None:
    command = Tail(JobFiles(f"{home}/", NAME), 10, 1_000_000)
    return command.parse(as_another(command.line()))


def test_output_that_others_may_read_is_read(home: Path) -> None:
    assert tail_as_another(home) is None
    output = home / ".jarvice" / f"{NAME}.out"
    output.write_text("hello\n")
    output.chmod(0o644)
    assert tail_as_another(home) == b"hello\n"


@pytest.mark.parametrize("shut", ["the file", "its folder", "the home folder"])
def test_output_that_may_not_be_read_is_out_of_reach_and_that_is_404(home: Path, shut: str) -> None:
    output = home / ".jarvice" / f"{NAME}.out"
    output.write_text("secret\n")
    {"the file": output, "its folder": output.parent, "the home folder": home}[shut].chmod(0)
    with pytest.raises(
        OutOfReach, match=r"output .* cannot be read by the user .*Permission denied"
    ) as fault:
        tail_as_another(home)
    assert fault.value.status == 404


def test_in_a_home_folder_that_is_shut_nobody_knows_whether_there_is_output(home: Path) -> None:
    home.chmod(0)
    with pytest.raises(OutOfReach):
        tail_as_another(home)


def test_a_home_folder_that_is_not_there_holds_no_output(home: Path) -> None:
    assert tail_as_another(home / "none") is None


@pytest.mark.parametrize("shut", [0o555, 0])
def test_files_that_may_not_be_removed_are_out_of_reach(home: Path, shut: int) -> None:
    files = JobFiles(f"{home}/", NAME)
    output = home / ".jarvice" / f"{NAME}.out"
    output.write_text("kept\n")
    output.parent.chmod(shut)
    command = Remove(files, "123")
    with pytest.raises(OutOfReach, match="cannot be removed by the user who manages jobs"):
        command.parse(as_another(command.line()))
    output.parent.chmod(0o755)
    assert output.exists()
