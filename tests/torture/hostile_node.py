"""A node that runs hostile jobs as far as they are ours: the user's own code is kept, and not run."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from pipeline.render import BatchScript
from tests.torture.hostile_jobs import RUN

_SECONDS = 30
_DIGEST = f"sha256:{'0123456789abcdef' * 4}"

# Of dash, which starts in a millisecond: a job is many processes.
_PROGRAMS = {
    # The upstream's script is its user's own program but for the parameters: only those are run.
    "srun": """
        shift $(($# - 3))
        if [ "$BEFORE" != 0 ]; then
            cp "$3/job.sh" "$KEPT/job.sh"
            head --bytes=-"$AFTER" "$3/job.sh" | tail --bytes=+$((BEFORE + 1)) >"$KEPT/parameters.sh"
            echo 'env -0 >"$KEPT/parameters.environment"' >>"$KEPT/parameters.sh"
            exec bash "$KEPT/parameters.sh"
        fi
        SLURM_PROCID=0 exec "$@"
    """,
    "apptainer": r"""
        shift
        printf '%s\0' "$@" >"$KEPT/$1.arguments"
        env -0 >"$KEPT/$1.environment"
        for word; do
            case $word in *:/.jarvice-command:ro) cp "${word%:/.jarvice-command:ro}" "$KEPT/command" ;; esac
        done
        case $1 in pull) while [ $# -gt 2 ]; do shift; done; echo image >"$1" ;; esac
    """,
    "scontrol": "echo n1",
    "squeue": "exit 0",
    "curl": rf"cat >/dev/null; printf 'HTTP/1.1 200 OK\r\nDocker-Content-Digest: {_DIGEST}\r\n\r\n200'",
    RUN: 'echo "$0 $*" >>"$CANARY"',
}


@dataclass(frozen=True)
class Ran:
    """What came of a batch script."""

    code: int
    stderr: bytes
    canary: bool
    """Whether something ran that must not."""


class HostileNode:
    """A home folder, and a PATH with stand-ins for Slurm, Singularity and curl in front."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._kept = folder / "kept"
        self._canary = folder / "ran"
        self._programs = folder / "bin"
        for each in (self.home, self._kept, self._programs):
            each.mkdir()
        for name, body in _PROGRAMS.items():
            self.program(name, body)
        self._environment = {
            "HOME": str(self.home),
            "USER": "kirby",
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "KEPT": str(self._kept),
            "CANARY": str(self._canary),
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NAME": "jarvice_$(canary)",
            "SLURMD_NODENAME": "n1",
            "SLURM_JOB_NODELIST": "n1",
        }

    def program(self, name: str, body: str) -> None:
        """Let a program do something."""
        file = self._programs / name
        file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        file.chmod(0o755)

    def run_batch(self, batch: BatchScript, before: int, after: int) -> Ran:
        """Run it to its end. Of the upstream's script so many bytes are its own at either end."""
        self._forget(batch)
        if batch.secrets_file:
            control = self.home / batch.files.control
            control.mkdir(parents=True, mode=0o700)
            (control / "secrets").write_bytes(batch.secrets_file.encode("utf-8"))
        script = self._kept / "batch.sh"
        script.write_bytes(batch.text.encode("utf-8"))
        done = subprocess.run(
            ["bash", str(script)],
            cwd=self.home,
            env={**self._environment, "BEFORE": str(before), "AFTER": str(after)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stderr, self._canary.exists())

    def job_script(self) -> bytes:
        """The upstream's script as the node got it."""
        return (self._kept / "job.sh").read_bytes()

    def command_script(self) -> bytes:
        """A native job's own script as its container would see it."""
        return (self._kept / "command").read_bytes()

    def arguments(self, what: str) -> list[str] | None:
        """The words after the runtime's own options, of its exec or pull; None if there was none."""
        file = self._kept / f"{what}.arguments"
        return file.read_bytes().decode("utf-8").split("\0")[1:-1] if file.exists() else None

    def environment_of(self, what: str) -> dict[str, str]:
        """The environment of the runtime's exec or pull, or after the ``parameters``."""
        text = (self._kept / f"{what}.environment").read_bytes().decode("utf-8")
        return dict(part.split("=", 1) for part in text.split("\0")[:-1])

    def clean(self) -> None:
        """Forget all jobs and images."""
        for each in self.home.iterdir():
            rmtree(each) if each.is_dir() else each.unlink()

    def _forget(self, batch: BatchScript) -> None:
        for file in (*self._kept.iterdir(), self._canary):
            file.unlink(missing_ok=True)
        rmtree(self.home / batch.files.control, ignore_errors=True)
