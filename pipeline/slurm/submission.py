"""Sending a batch script exactly once: claim the name, sbatch, record the id.

The claim is the job's control folder, made by ``mkdir``, which only one can do. A second
submission of the name finds the folder and gives the id in it. A claim without an id is a
submission under way, or one that was cut off: it is settled by asking Slurm for the name.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import IntEnum

from pipeline import shell
from pipeline.errors import NameTaken, Nonsense, Unavailable
from pipeline.job import Sent
from pipeline.slurm.commands import accounted_with_name
from pipeline.slurm.refusals import fault, unknown
from pipeline.transport import Completed

SBATCH_SECONDS = 45
"""Time of one sbatch, which would try for minutes while slurmctld is busy: no older claim has one running."""

_KILLED_SECONDS = 5
"""Time after that until one that does not end by itself is killed, so that this is true."""

CLAIM_SECONDS = 60
"""Age from which a claim without an id and without a job in Slurm may have been abandoned. One whose sbatch
has failed need not get so old."""

MISSED_SECONDS = 20
"""Time after which it is: so long before Slurm has been asked too, and knew no such job. What had waited in
front of a slurmctld that did not answer was carried out meanwhile."""

_SENT_BEFORE = "before"


class _Exit(IntEnum):
    """Exit codes of our own lines, out of the way of sbatch's."""

    UNSETTLED = 76
    NO_CLAIM = 73
    TAKEN = 77
    OTHER_CONTENT = 78


class Unsettled(Exception):
    """The job may have been accepted or not; if it was, nobody knows yet under which id."""


class Unheard(Unsettled):
    """Unsettled because slurmctld, or slurmrestd in front of it, did not answer: the circuit counts it."""


@dataclass(frozen=True)
class Claim:
    """A name that is claimed by one submission. The control folder says by which, and for what content."""

    control: str
    digest: str
    """Of the content, as ``Job.digest``."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """Of this submission alone: a line that the transport repeats knows its own claim by it."""

    def variables(self) -> str:
        """What the functions below need to be set; sbatch too runs in the home folder."""
        control, digest = shell.quote(self.control), shell.quote(self.digest or "-")
        return f"{shell.at_home(self.control)}c={control}; token={self.token}; digest={digest}; "


_ID = "[[ $id =~ ^[0-9]+$ ]]"
# An id without its line's end was cut off while it was written.
_RECORDED = f'IFS=";" read -r id _ 2>/dev/null <"$c/jobid" && {_ID}'
# What a claim says: the submission's token, the content's digest, when it was made.
_READ_CLAIM = 'read -r by content since 2>/dev/null <"$c/claim"'
_FREE = 'rm -f "$c"/{jobid,secrets,claim,missed}; rmdir "$c"'
# Says the id, with a second word where another submission has sent the job; tells other content apart.
_TELL = (
    f'tell() {{ {_READ_CLAIM}; echo "$id"; [ "$by" = "$token" ] || echo {_SENT_BEFORE}; '
    f'[[ -z $content || $content == "$digest" ]] || exit {_Exit.OTHER_CONTENT:d}; }}; '
)


@dataclass(frozen=True)
class Submit:
    """Claim the name and give the script, on standard input, to sbatch. Source: sbatch(1).

    sbatch's exit code decides, never its stderr. When it fails the claim stays: whether the job
    was accepted may be unknown (``Socket timed out``). ``Withdraw`` takes it back.
    """

    claim: Claim
    secrets_bytes: int = 0
    """So much of standard input, before the script, is what the job's marks stand for."""

    def line(self) -> str:
        """The line of bash."""
        size = self.secrets_bytes
        keep = f'(umask 077; head --bytes={size} >"$c/secrets") || undo; ' if size else ""
        # Each process costs a millisecond, so bash's builtins do what they can.
        return (
            f'{self.claim.variables()}{_TELL}claim() {{ mkdir -m 700 "$c" 2>/dev/null; }}; '
            f"undo() {{ {_FREE}; exit {_Exit.NO_CLAIM:d}; }}; "
            'if claim || { [ ! -d "$c" ] && mkdir -p "${c%/*}" && claim; }; then '
            """printf '%s %s %(%s)T\\n' "$token" "$digest" -1 >"$c/claim" || undo; """
            f"{keep}code=; {{ timeout --kill-after={_KILLED_SECONDS} {SBATCH_SECONDS} sbatch --parsable; "
            'code=$?; } >"$c/jobid"; '
            '[ -n "$code" ] || undo; '
            # It runs no more: the claim need not get old before it can be given up.
            """[ "$code" = 0 ] || printf '%s %s 1\\n' "$token" "$digest" >"$c/claim"; """
            f"case $code in 124 | 137) exit {_Exit.UNSETTLED:d} ;; esac; "
            '[ "$code" = 0 ] || exit "$code"; '
            f'elif [ ! -d "$c" ]; then mkdir "$c" && rmdir "$c"; exit {_Exit.NO_CLAIM:d}; '
            f'elif [ ! -O "$c" ] || [ -L "$c" ]; then exit {_Exit.TAKEN:d}; fi; '
            f"{_RECORDED} || exit {_Exit.UNSETTLED:d}; tell"
        )

    def parse(self, reply: Completed) -> Sent:
        """The job, of this submission or of the one that came first.

        Raises:
            Unsettled: claimed, but without an id; sbatch may have taken the job all the same.
            NameTaken: the name is that of another job.
            Refused, Unavailable: in sbatch's own words.
        """
        if reply.exit_code == _Exit.UNSETTLED:
            raise Unsettled
        if reply.exit_code == _Exit.NO_CLAIM:
            raise Unavailable(f"cannot make the job's control folder: {reply.complaint()}")
        if reply.exit_code == _Exit.TAKEN:
            raise NameTaken("another user has a job of this name")
        return _told(reply, "sbatch")


@dataclass(frozen=True)
class Withdraw:
    """Take back a claim after sbatch refused the job; a claim with an id stays, and that of another."""

    claim: Claim

    def line(self) -> str:
        """The line of bash."""
        return (
            f"{self.claim.variables()}{_READ_CLAIM}; "
            f'[ "$by" != "$token" ] || [ -s "$c/jobid" ] || {{ {_FREE}; }}'
        )

    def parse(self, reply: Completed) -> None:
        """Nothing: a claim that stays is settled at the next submission."""


@dataclass(frozen=True)
class Settle:
    """Find the job of an unsettled claim by its name and record its id.

    It is the first one that Slurm knows, or else the one that has left its mark when it was started. Without
    such a job an old claim is given up, so that the next submission can send the job. What slurmctld keeps of
    one that it refused, as ``states.was_refused`` says, is no such job.
    """

    claim: Claim
    slurm_name: str

    def line(self) -> str:
        """The line of bash."""
        name = shell.quote(f"--name={self.slurm_name}")
        accounted = shell.join(accounted_with_name(self.slurm_name, days=7))
        return (
            f"{self.claim.variables()}{_TELL}"
            f'id=$(squeue --noheader --all --states=all --user="$(id -un)" {name} '
            "--format='%A|%T|%N') || exit; "
            f"known() {{ sacct --noheader --parsable2 --allocations {accounted} "
            "--format=JobIDRaw,State,NodeList; }; "
            'taken() { while IFS="|" read -r id state nodes; do case "$state|$nodes" in '
            '"FAILED|" | "FAILED|None assigned") ;; *) echo "$id" ;; esac; done | sort -n | head -n 1; }; '
            'id=$(taken <<<"$id"); '
            '[ -n "$id" ] || { id=$(known 2>/dev/null) && id=$(taken <<<"$id"); } || '
            'case $(known 2>&1) in *"storage is disabled"*) ;; *) known >/dev/null; exit 1 ;; esac; '
            # Slurm may have forgotten one that has run, and accounting may not know it yet.
            f'{_ID} || read -r id _ 2>/dev/null <"$c/started" || id=; '
            f'if {_ID}; then printf "%s\\n" "$id" >"$c/jobid"; tell; exit 0; fi; '
            # One that was cut off before it was written down has its folder's time.
            f'{_READ_CLAIM}; {_number("since")} || since=$(stat -c %Y "$c" 2>/dev/null); '
            f"printf -v now '%(%s)T' -1; read -r missed 2>/dev/null <\"$c/missed\"; "
            # Of several that come to this one removes the mark: to others the folder may be a new claim's.
            f"if {_number('missed')}; then [ $((now - missed)) -lt {MISSED_SECONDS} ] || "
            f'{{ rm "$c/missed" 2>/dev/null && {{ {_FREE}; }}; }}; '
            f'elif [ -n "$since" ] && [ $((now - since)) -ge {CLAIM_SECONDS} ]; '
            'then echo "$now" >"$c/missed"; fi; '
            f"exit {_Exit.UNSETTLED:d}"
        )

    def parse(self, reply: Completed) -> Sent:
        """The job.

        Raises:
            NameTaken: the name is that of another job.
            Unavailable: Slurm does not know the name, or does not answer; worth trying again.
        """
        if reply.exit_code == _Exit.UNSETTLED:
            raise Unavailable(
                "this name is being submitted, or an earlier submission was cut off; "
                f"it is settled {CLAIM_SECONDS + MISSED_SECONDS} s after that at the latest, ask again"
            )
        if reply.exit_code not in (0, _Exit.OTHER_CONTENT):
            # The job may be there: whatever is complained of, it is not the caller's fault.
            raise unknown(reply, "finding an earlier submission of this name")
        return _told(reply, "squeue")


def _number(variable: str) -> str:
    """A test of bash: it is a number, which its arithmetic would otherwise look for code in."""
    return f"[[ ${variable} =~ ^[1-9][0-9]*$ ]]"


def _told(reply: Completed, by: str) -> Sent:
    """What ``tell`` has said."""
    job_id, _, before = reply.text().strip().partition("\n")
    if reply.exit_code == _Exit.OTHER_CONTENT:
        raise NameTaken.by_other_content(_job_id(job_id, by))
    if reply.exit_code != 0:
        raise fault(reply, by)
    return Sent(_job_id(job_id, by), is_new=before != _SENT_BEFORE)


def _job_id(job_id: str, by: str) -> str:
    if not job_id.isdecimal():
        raise Nonsense(f"{by}: answered {job_id[:80]!r} where a job id was expected")
    return job_id
