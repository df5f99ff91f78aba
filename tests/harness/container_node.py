"""A node that runs native jobs: real bash, a Slurm of one task, a Singularity that keeps what it is told."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree

from pipeline.render import BatchScript
from pipeline.transport import Completed
from tests.harness.bash import Sandbox

DIGEST = f"sha256:{'0123456789abcdef' * 4}"

RUNTIME = r"""
shift
printf '%s\0' "$@" >"$CALLS.$1.arguments"
env -0 >"$CALLS.$1.environment"
case $1 in
    pull) echo "image ${*: -1}" >"${@: -2:1}" ;;
    overlay) : >"${@: -1}" ;;
esac
"""
RUNTIMES = ("apptainer", "singularity")


class ContainerNode(Sandbox):
    """``apptainer`` keeps the arguments and the environment of its last exec, pull and overlay."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment.update(
            SLURM_JOB_ID="7", SLURM_JOB_NAME="jarvice_:x", SLURMD_NODENAME="n1", SLURM_JOB_NODELIST="n1"
        )
        self.command("srun", 'SLURM_PROCID=0 exec "${@: -3}"')
        self.command("scontrol", "echo n1")
        self.command("squeue", "exit 0")
        self.command("apptainer", RUNTIME)

    def answers_digest(self, digest: str = DIGEST) -> None:
        """Let curl find this digest wherever it asks."""
        answer = rf"HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\n\r\n200"
        self.command("curl", f"cat >/dev/null; printf '{answer}'")

    def has_only(self, *runtimes: str) -> None:
        """Let these programs run containers and no other, whatever this machine has."""
        tools = self.bin.parent / "tools"
        tools.mkdir()
        for folder in os.environ["PATH"].split(":"):
            for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
                if program.name not in RUNTIMES and not (tools / program.name).is_symlink():
                    (tools / program.name).symlink_to(program)
        self.environment["PATH"] = f"{self.bin}:{tools}"
        (self.bin / "apptainer").unlink()
        for runtime in runtimes:
            self.command(runtime, RUNTIME)

    def sent(self, batch: BatchScript) -> Path:
        """Do what a submission does before sbatch; gives the control folder."""
        control = self.home / batch.files.control
        control.mkdir(parents=True)
        if batch.secrets_file:
            (control / "secrets").write_bytes(batch.secrets_file.encode("utf-8"))
        return control

    def started(self, batch: BatchScript) -> Completed:
        """Run a batch script that was sent, to its end."""
        self.is_next_run()
        return self.run("bash -s", batch.text.encode("utf-8"))

    def is_next_run(self) -> None:
        """What is started next Slurm starts again, if there was a run before."""
        runs = int(self.environment.get("SLURM_RESTART_COUNT", -1))
        self.environment["SLURM_RESTART_COUNT"] = str(runs + 1)

    def clean(self) -> None:
        """Forget all jobs, images and calls."""
        rmtree(self.home / ".jarvice", ignore_errors=True)
        for file in self.bin.parent.glob("calls*"):
            file.unlink()

    def arguments(self, what: str) -> list[str] | None:
        """The arguments of the last exec, pull or overlay; None if there was none."""
        parts = self._recorded(what, "arguments")
        return None if parts is None else parts[1:]

    def environment_of(self, what: str) -> dict[str, str]:
        """The environment of the last exec, pull or overlay."""
        return dict(part.split("=", 1) for part in self._recorded(what, "environment") or ())

    def _recorded(self, what: str, kind: str) -> list[str] | None:
        file = Path(f"{self.environment['CALLS']}.{what}.{kind}")
        return file.read_bytes().decode("utf-8").split("\0")[:-1] if file.exists() else None
