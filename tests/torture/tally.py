"""How often each name ran, and which ids were given for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.torture.ledger import InSlurm, Ledger


@dataclass
class Tally:
    """The promise: every name runs once, and its id is the only one that is ever given for it."""

    ran: Counter[int] = field(default_factory=Counter)
    """How many names ran so many times."""
    doubles: Counter[str] = field(default_factory=Counter)
    """Jobs beside those that ran, by their state in Slurm: they gave way."""
    broken: list[str] = field(default_factory=list)
    """Names of which that does not hold."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        given: Mapping[str, set[str]],
        ledger: Ledger,
        in_slurm: Mapping[str, Sequence[InSlurm]],
    ) -> Tally:
        """Count, when all jobs are over."""
        tally = cls()
        runs = ledger.runs()
        for name in names:
            ran, ids, jobs = runs.get(name, []), given.get(name, set()), in_slurm.get(name, [])
            tally.ran[len(ran)] += 1
            tally.doubles.update(
                f"{job.state} on {job.nodes or 'no node'}" for job in jobs if job.job_id not in ran
            )
            if len(ran) != 1 or ids != set(ran):
                rows = ", ".join(f"{job.job_id} {job.state}" for job in jobs) or "no job"
                tally.broken.append(f"{name} ran as {ran}, ids given {sorted(ids)}, in Slurm: {rows}")
        return tally

    def told(self) -> str:
        """The figures, for people."""
        more = sum(count for runs, count in self.ran.items() if runs > 1)
        doubles = ", ".join(f"{count} {state}" for state, count in self.doubles.items()) or "none"
        return (
            f"names that ran once {self.ran[1]}, never {self.ran[0]}, more than once {more}; "
            f"jobs that gave way to another of their name: {doubles}"
        )
