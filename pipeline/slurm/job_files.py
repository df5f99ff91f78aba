"""The files of one job on the cluster: output, exit record, and their removal."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline import shell
from pipeline.errors import Nonsense, NotFound, OutOfReach, Unavailable
from pipeline.job import JobFiles, Piece
from pipeline.transport import Completed

_NOT_THERE = 66
_NOT_ALLOWED = 77

PIECE_BYTES = 1024 * 1024
"""Output that is read at a time while a job is followed."""

_NUMBER = re.compile(r"[0-9]{1,18}")
"""What is in these files their owners can write: Python refuses to read numbers of thousands of digits."""
_DENIED = re.compile("permission denied|not permitted", re.IGNORECASE)

_READ_ID = '{ IFS=";" read -r id _ <jobid || read -r id _ <started; } 2>/dev/null'
"""Reads a job's id, inside its control folder: from the claim, or, of a job that came through slurmrestd,
from the mark of its start."""


def _enter(files: JobFiles) -> str:
    """Bash that goes to the job's control folder, if there is one."""
    return f"{shell.at_home(files.control)}cd {shell.quote(files.control)} 2>/dev/null"


def _other_job(job_id: str) -> str:
    """A test of bash, inside a control folder: it is that of another job of the name."""
    return f'{{ {_READ_ID} && [ "$id" != {shell.quote(job_id)} ]; }}'


@dataclass(frozen=True)
class ExitRecord:
    """What the first task wrote at its end. Times are seconds since the epoch."""

    job_id: str
    code: int
    started: int
    ended: int


@dataclass(frozen=True)
class Tail:
    """The last lines of a job's output, as far as ``most_bytes`` goes."""

    files: JobFiles
    lines: int
    """0: all."""
    most_bytes: int

    def line(self) -> str:
        """The line of bash."""
        cut = f"tail --bytes={self.most_bytes} -- {shell.quote(self.files.output)}"
        if self.lines:
            cut += f" | tail --lines={self.lines}"
        return _of_output(self.files, cut)

    def parse(self, reply: Completed) -> bytes | None:
        """The bytes; None when there is no output yet.

        Raises:
            OutOfReach: this user may not read it.
            Unavailable: the file is there and cannot be read now.
        """
        return _output_in(reply, self.files)


@dataclass(frozen=True)
class OutputFrom:
    """A job's output from a byte on, as far as ``PIECE_BYTES`` go."""

    files: JobFiles
    offset: int

    def line(self) -> str:
        """The line of bash."""
        file = shell.quote(self.files.output)
        size = f"stat --dereference --format=%s -- {file}"
        return _of_output(
            self.files, f"{size} && tail --bytes=+{self.offset + 1} -- {file} | head --bytes={PIECE_BYTES}"
        )

    def parse(self, reply: Completed) -> Piece | None:
        """The piece; None when there is no output yet. Raises as ``Tail`` does."""
        found = _output_in(reply, self.files)
        if found is None:
            return None
        size, _, data = found.partition(b"\n")
        if not _NUMBER.fullmatch(size.decode("ascii", "replace")):
            raise Nonsense(f"the size of the job's output is {size[:80]!r}")
        return Piece(data, int(size))


def _of_output(files: JobFiles, then: str) -> str:
    """A line of bash that reads the output where it is there and may be read."""
    file = shell.quote(files.output)
    # To who may not enter its folder a file is not there either.
    hidden = f"[[ $(stat -- {file} 2>&1) == *denied* ]]"
    missing = f"[ -e {file} ] || {hidden} && exit {_NOT_ALLOWED}; exit {_NOT_THERE}"
    return f"{shell.at_home(files.output)}[ -r {file} ] || {{ {missing}; }}; {then}"


def _output_in(reply: Completed, files: JobFiles) -> bytes | None:
    if reply.exit_code == _NOT_THERE:
        return None
    if reply.exit_code == _NOT_ALLOWED:
        raise OutOfReach(
            f"the job's output {files.output} cannot be read by the user who manages jobs: Permission denied"
        )
    if reply.exit_code != 0 or reply.stderr.strip():
        raise Unavailable(f"cannot read the job's output: {reply.complaint()}")
    return reply.stdout


@dataclass(frozen=True)
class ReadClaim:
    """The id in the control folder of a name."""

    files: JobFiles

    def line(self) -> str:
        """The line of bash."""
        return f'{_enter(self.files)} || exit {_NOT_THERE}; {_READ_ID} || id=; echo "$id"'

    def parse(self, reply: Completed) -> str:
        """The id; empty when nothing was recorded.

        Raises:
            NotFound: there is no control folder of this name.
            Unavailable: it cannot be read.
        """
        if reply.exit_code == _NOT_THERE:
            raise NotFound("the job has no control folder on the cluster")
        if reply.exit_code != 0:
            raise Unavailable(f"cannot read the job's control folder: {reply.complaint()}")
        found = reply.text().strip()
        return found if _NUMBER.fullmatch(found) else ""


@dataclass(frozen=True)
class ReadRecord:
    """The exit record in the control folder of a job."""

    files: JobFiles
    job_id: str

    def line(self) -> str:
        """The line of bash."""
        return (
            f"{_enter(self.files)} || exit {_NOT_THERE}; "
            f"{_other_job(self.job_id)} && exit {_NOT_THERE}; [ ! -e exit ] || cat exit"
        )

    def parse(self, reply: Completed) -> ExitRecord | None:
        """The record; None when the first task did not come to its end.

        Raises:
            NotFound: there is no control folder of this job.
            Unavailable, Nonsense: the record is there and cannot be read.
        """
        if reply.exit_code == _NOT_THERE:
            raise NotFound("the job has no control folder on the cluster")
        if reply.exit_code != 0:
            raise Unavailable(f"cannot read the job's exit record: {reply.complaint()}")
        words = reply.text().split()
        if not words:
            return None
        if len(words) != 4 or not all(map(_NUMBER.fullmatch, words)):
            raise Nonsense(f"the job's exit record is {reply.text()[:80]!r}")
        return ExitRecord(words[0], *(int(word) for word in words[1:]))


@dataclass(frozen=True)
class Remove:
    """Remove everything of a job: output, control folder, what its script made.

    Output and control folder go by the name; those of another job of the name are left alone.
    """

    files: JobFiles
    job_id: str

    def line(self) -> str:
        """The line of bash."""
        named = shell.join([self.files.output, self.files.control])
        made = shell.quote(self.files.made_by_script(self.job_id))
        return (
            f"{_enter(self.files)} && {_other_job(self.job_id)} && other=1; cd; "
            # What one of them keeps back must not keep the other.
            f'rm -rf -- {made}; left=$?; [ -n "$other" ] || rm -rf -- {named} || left=$?; exit "$left"'
        )

    def parse(self, reply: Completed) -> None:
        """Raises OutOfReach or Unavailable when something could not be removed."""
        if reply.exit_code != 0 and _DENIED.search(reply.complaint()):
            raise OutOfReach(f"they cannot be removed by the user who manages jobs: {reply.complaint()}")
        if reply.exit_code != 0:
            raise Unavailable(f"cannot remove the job's files: {reply.complaint()}")


@dataclass(frozen=True)
class RemoveLogins:
    """Remove the registry logins that the submission has left for a job which will not read them."""

    files: JobFiles
    job_id: str

    def line(self) -> str:
        """The line of bash."""
        return f"{_enter(self.files)} || exit 0; {_other_job(self.job_id)} || rm -f secrets"

    def parse(self, reply: Completed) -> None:
        """Raises Unavailable when they could not be removed."""
        if reply.exit_code != 0:
            raise Unavailable(f"cannot remove the job's registry logins: {reply.complaint()}")
