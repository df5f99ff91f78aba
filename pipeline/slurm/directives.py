"""Reading ``#SBATCH`` lines, for who has to obey them without Slurm. Source: sbatch(1)."""

from __future__ import annotations

import shlex


def read(script: str) -> dict[str, str]:
    """The long options of a batch script; a bare option is an empty text.

    As sbatch does, this stops at the first line that is neither a comment nor empty.
    """
    options: dict[str, str] = {}
    for line in script.splitlines():
        if line.startswith("#SBATCH "):
            for word in shlex.split(line.removeprefix("#SBATCH "), comments=True):
                option, _, value = word.removeprefix("--").partition("=")
                options[option] = value
        elif line.strip() and not line.startswith("#"):
            break
    return options
