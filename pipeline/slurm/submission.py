"""Sending a batch script exactly once: claim the name, sbatch, record the id.

The claim is the job's control folder, made by ``mkdir``, which only one can do. A second
submission of the name finds the folder and gives the id in it. A claim without an id is a
submission under way, or one that was cut off: it is settled by asking Slurm for the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pipeline import shell
from pipeline.errors import Nonsense, Refused, Unavailable
from pipeline.job import Sent
from pipeline.slurm.commands import accounted_with_name
from pipeline.slurm.refusals import fault
from pipeline.transport import Completed

CLAIM_SECONDS = 60
"""Age from which a claim without an id and without a job in Slurm is taken to be abandoned."""


_SENT_BEFORE = "before"


class _Exit(IntEnum):
    """Exit codes of our own lines, out of the way of sbatch's."""

    UNSETTLED = 76
    NO_FOLDER = 73
    TAKEN = 77


class Unsettled(Exception):
    """The job may have been accepted or not; if it was, nobody knows yet under which id."""


@dataclass(frozen=True)
class Submit:
    """Claim the name and give the script, on standard input, to sbatch. Source: sbatch(1).

    sbatch's exit code decides, never its stderr. When it fails the claim stays: whether the job
    was accepted may be unknown (``Socket timed out``). ``Withdraw`` takes it back.
    """

    control: str
    secrets_bytes: int = 0
    """So much of standard input, before the script, is what the job's marks stand for."""

    def line(self) -> str:
        """The line of bash."""
        size = self.secrets_bytes
        keep = f'(umask 077; head --bytes={size} >"$c/secrets") || exit; ' if size else ""
        # Each process costs a millisecond, so bash's builtins do what they can.
        return (
            f'c={shell.quote(self.control)}; claim() {{ mkdir -m 700 "$c" 2>/dev/null; }}; '
            'tell() { IFS=";" read -r id _ 2>/dev/null <"$c/jobid" && [[ $id =~ ^[0-9]+$ ]] && echo "$id" '
            f"|| exit {_Exit.UNSETTLED:d}; }}; "
            'if claim || { [ ! -d "$c" ] && mkdir -p "${c%/*}" && claim; }; then '
            f'{keep}sbatch --parsable >"$c/jobid" || exit; tell; '
            f'elif [ -O "$c" ]; then tell; echo {_SENT_BEFORE}; elif [ -d "$c" ]; then exit {_Exit.TAKEN:d}; '
            f'else mkdir "$c"; exit {_Exit.NO_FOLDER:d}; fi'
        )

    def parse(self, reply: Completed) -> Sent:
        """The job, of this submission or of the one that came first.

        Raises:
            Unsettled: claimed, but without an id; sbatch may have taken the job all the same.
            Refused, Unavailable: in sbatch's own words.
        """
        if reply.exit_code == _Exit.UNSETTLED:
            raise Unsettled
        if reply.exit_code == _Exit.NO_FOLDER:
            raise Unavailable(f"cannot make the job's control folder: {reply.complaint()}")
        if reply.exit_code == _Exit.TAKEN:
            raise Refused("another user has a job of this name")
        if reply.exit_code != 0:
            raise fault(reply, "sbatch")
        job_id, _, before = reply.text().strip().partition("\n")
        return Sent(_job_id(job_id), is_new=before != _SENT_BEFORE)


@dataclass(frozen=True)
class Withdraw:
    """Take back a claim after sbatch refused the job; a claim with an id stays."""

    control: str

    def line(self) -> str:
        """The line of bash."""
        return (
            f"c={shell.quote(self.control)}; "
            '[ -s "$c/jobid" ] || { rm -f "$c"/{jobid,secrets}; rmdir "$c"; }'
        )

    def parse(self, reply: Completed) -> None:
        """Nothing: a claim that stays is settled at the next submission."""


@dataclass(frozen=True)
class Settle:
    """Find the job of an unsettled claim by its name and record its id.

    Without such a job an old claim is given up, so that the next submission can send the job. What slurmctld
    keeps of one that it refused, as ``states.was_refused`` says, is no such job.
    """

    control: str
    slurm_name: str

    def line(self) -> str:
        """The line of bash."""
        name = shell.quote(f"--name={self.slurm_name}")
        accounted = shell.join(accounted_with_name(self.slurm_name, days=7))
        return (
            f"c={shell.quote(self.control)}; "
            f'id=$(squeue --noheader --all --states=all --user="$(id -un)" {name} '
            "--format='%A|%T|%N') || exit; "
            f"known() {{ sacct --noheader --parsable2 --allocations {accounted} "
            "--format=JobIDRaw,State,NodeList; }; "
            'taken() { while IFS="|" read -r id state nodes; do case "$state|$nodes" in '
            '"FAILED|" | "FAILED|None assigned") ;; *) echo "$id"; break ;; esac; done; }; '
            'id=$(taken <<<"$id"); '
            '[ -n "$id" ] || { id=$(known 2>/dev/null) && id=$(taken <<<"$id"); } || '
            'case $(known 2>&1) in *"storage is disabled"*) ;; *) known >/dev/null; exit 1 ;; esac; '
            'if [[ $id =~ ^[0-9]+$ ]]; then printf "%s\\n" "$id" >"$c/jobid"; echo "$id"; '
            'elif claimed=$(stat -c %Y "$c" 2>/dev/null) '
            f"&& [ $(($(date +%s) - claimed)) -ge {CLAIM_SECONDS} ]; then "
            'rm -f "$c"/{jobid,secrets}; rmdir "$c"; fi; '
            f'[ -n "$id" ] || exit {_Exit.UNSETTLED:d}'
        )

    def parse(self, reply: Completed) -> str:
        """The job's id.

        Raises:
            Unavailable: Slurm does not know the name, or does not answer; worth trying again.
        """
        if reply.exit_code == _Exit.UNSETTLED:
            raise Unavailable(
                "this name is being submitted, or an earlier submission was cut off; "
                f"it is settled {CLAIM_SECONDS} s after that, ask again"
            )
        if reply.exit_code != 0:
            # The job may be there: whatever is complained of, it is not the caller's fault.
            raise Unavailable(fault(reply, "finding an earlier submission of this name").message)
        return _job_id(reply.text().strip())


def _job_id(job_id: str) -> str:
    if not job_id.isdecimal():
        raise Nonsense(f"sbatch: answered {job_id[:80]!r} where a job id was expected")
    return job_id
