"""One batch script as a process of this machine, with the environment that Slurm would give it."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess  # nosec B404 # a job is a process
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Refused
from pipeline.slurm import directives

_STAND_INS = Path(__file__).parent / "stand-ins"

_MOST_NODES = 16

KILL_WAIT = 5.0
"""Seconds between the request to end and the end by force, Slurm's KillWait."""


@dataclass(frozen=True)
class Asked:
    """What a batch script's directives ask of the machine."""

    nodes: int
    cores: int
    seconds: float | None
    """Walltime; None is no limit."""
    held: bool
    output: str

    @classmethod
    def by(cls, script: str) -> Asked:
        """Read the script's own ``#SBATCH`` lines, as sbatch would.

        Raises:
            Refused: one of them has a form that only Slurm understands, or asks for too much.
        """
        options = directives.read(script)
        walltime = options.get("time")
        try:
            nodes = max(1, int(options.get("nodes", "1")))
            if nodes > _MOST_NODES:
                raise Refused(f"the local connector has {_MOST_NODES} nodes, the job asks for {nodes}")
            return cls(
                nodes=nodes,
                cores=int(options.get("ntasks", "1")) // nodes,
                seconds=_seconds(walltime) if walltime else None,
                held="hold" in options,
                output=options.get("output", "slurm.out"),
            )
        except ValueError as fault:
            raise Refused(
                f"the local connector reads nodes and tasks as numbers and times as HH:MM:SS only: {fault}"
            ) from None


def start(job_id: str, name: str, script: str, asked: Asked, folder: Path) -> subprocess.Popen[bytes]:
    """Start the script in a session of its own, with its output going to its file."""
    output = folder / asked.output
    output.parent.mkdir(parents=True, exist_ok=True)
    spool = folder / "spool" / f"{job_id}.sh"
    spool.parent.mkdir(exist_ok=True)
    spool.touch(mode=0o600)
    spool.write_text(script, encoding="utf-8", newline="")
    with output.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603  # nosec B603 # running the job's script is what this is for
            ["/bin/bash", str(spool)],
            cwd=folder,
            env=environment(folder) | _slurm_environment(job_id, name, asked, folder),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the script and all it started to end, then make them."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_WAIT)


def environment(folder: Path) -> dict[str, str]:
    """A clean environment with the stand-ins first on the PATH."""
    path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    user = getpass.getuser()
    return {
        "HOME": str(folder),
        "USER": user,
        "LOGNAME": user,
        "PATH": f"{_STAND_INS}:{path}",
        "LANG": "C.UTF-8",
    }


def _slurm_environment(job_id: str, name: str, asked: Asked, folder: Path) -> dict[str, str]:
    nodes = ",".join(f"local{number}" for number in range(1, asked.nodes + 1))
    return {
        "SLURM_JOB_ID": job_id,
        "SLURM_JOBID": job_id,
        "SLURM_JOB_NAME": name,
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(asked.nodes),
        "SLURM_NNODES": str(asked.nodes),
        "SLURM_NTASKS": str(asked.cores * asked.nodes),
        "SLURM_CPUS_ON_NODE": str(asked.cores),
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_JOB_PARTITION": "local",
        "SLURMD_NODENAME": "local1",
    }


def _seconds(walltime: str) -> float:
    hours, minutes, seconds = (int(part) for part in walltime.split(":"))
    return hours * 3600 + minutes * 60 + seconds
