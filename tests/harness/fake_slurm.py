"""Slurm's commands with a file for a cluster: ``id|user|state|name``, one job a line.

A state may have its reason: ``PENDING(JobHeldUser)``. Who fails does so with exit code 3.
"""

from __future__ import annotations

from pathlib import Path

_HEAD = 'jobs="$(dirname "$0")/jobs"; echo "$USER $(basename "$0") $*" >>"$jobs.calls"\n'
_COMMANDS = {
    "sbatch": r"""
        name="$(sed -n 's/^#SBATCH --job-name=//p')"
        id=$((100 + $(wc -l <"$jobs")))
        echo "$id|$USER|PENDING|$name" >>"$jobs"
        echo "$id"
    """,
    "squeue": r"""
        for word; do
            case "$word" in
                --name=*) wanted="${word#*=}" ;;
                --format=*) form="${word#*=}" ;;
                --jobs=*) codes_of=",${word#*=}," ;;
            esac
        done
        squeue_line() {
            reason="${state#*(}"; [ "$reason" = "$state" ] && reason=None
            echo "$1|$id|$user|${state%%(*}|0:05|n1|${reason%)}|$1:$name|$1:(null)"
        }
        while IFS='|' read -r id user state name; do
            [ -z "$wanted" ] || [ "$name" = "$wanted" ] || continue
            if [ -n "$codes_of" ]; then
                [[ $codes_of != *,$id,* ]] || echo "$id 3:0"
                continue
            fi
            [ "$form" = '%A|%T|%N' ] && echo "$id|${state%%(*}|n1" || squeue_line "${form%%|*}"
        done <"$jobs"
    """,
    "sacct": "exit 0",
    "scancel": "exit 0",
    "scontrol": 'echo "JobId=${*: -1}"',
}


class FakeSlurm:
    """A folder of commands, for JARVICE_SLURM_BIN_DIR."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._jobs = folder / "jobs"
        self._jobs.touch()
        for name, body in _COMMANDS.items():
            self.command(name, body)

    def command(self, name: str, body: str) -> None:
        """Let a command do something else; ``$jobs`` is the file."""
        file = self.folder / name
        file.write_text(f"#!/bin/bash\n{_HEAD}{body}\n", encoding="utf-8")
        file.chmod(0o755)

    def restore(self, name: str) -> None:
        """Let a command do what it did at first."""
        self.command(name, _COMMANDS[name])

    def set_jobs(self, *lines: str) -> None:
        """Put other jobs in the file."""
        self._jobs.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def calls(self, name: str) -> list[str]:
        """``user command arguments`` of each call of a command, oldest first."""
        file = Path(f"{self._jobs}.calls")
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [line for line in lines if line.split(" ")[1] == name]
