"""The command line in a folder of its own, against a cluster behind SSH or on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from pipeline.cli.commands import commands

PROGRAM = Path(sys.executable).with_name("jarvice-downstream")

SPEC = "name: hello\nuser: kirby\nimage: /images/app.sif\ncommand: [echo]\n"
HELLO = "jarvice_:hello"
"""What Slurm calls the job of this spec."""

_APPTAINER = r"""#!/bin/bash
# Runs the command here: no container, but what a container gets.
while [ "$1" != exec ]; do shift; done
shift
while [[ $1 == --* ]]; do case $1 in --bind | --overlay | --pwd) shift 2 ;; *) shift ;; esac; done
exec "${@:2}"
"""


class CommandLine:
    """The command in a folder with ``hello.yaml``, with settings and nothing else in its environment."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []
        self.settings = {
            "JARVICE_DOWNSTREAM_STATE_DIR": str(folder / "state"),
            "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1",
            **settings,
        }
        self.file = folder / "hello.yaml"
        self.file.write_text(SPEC)

    def __call__(self, *words: object, **settings: str) -> Result:
        environment = {**dict.fromkeys(os.environ), **self.settings, **settings}
        environment["PATH"] = settings.get("PATH", os.environ["PATH"])
        return CliRunner().invoke(
            commands, [str(word) for word in words], env=environment, catch_exceptions=False
        )

    def start(self, *words: object, **settings: str) -> subprocess.Popen[str]:
        """The command as a process of its own, for signals."""
        environment = {**self.settings, "PATH": os.environ["PATH"], **settings}
        process = subprocess.Popen(
            [str(PROGRAM), *map(str, words)], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End what still runs of what was started: a failed test leaves none behind."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()


def behind_ssh(folder: Path, port: int, commands: Path, key: str) -> CommandLine:
    """With kirby and mario in the users id mapping, and Slurm's commands in a folder."""
    return CommandLine(folder, settings_behind_ssh(folder, port, commands, key))


def settings_behind_ssh(folder: Path, port: int, commands: Path, key: str) -> dict[str, str]:
    """The settings for that."""
    entries = [
        {"user": user, "jarvice_user": user, "mail": f"{user}@example.com", "mapped_user": user,
         "ssh_private_key_b64": b64encode(key.encode()).decode()}
        for user in ("kirby", "mario")
    ]  # fmt: skip
    mapping = folder / "mapping.yaml"
    mapping.touch(mode=0o600)
    mapping.write_text(yaml.safe_dump({"users_id_mapping": entries}))
    return {
        "JARVICE_SLURM_CLUSTER_ADDR": "127.0.0.1",
        "JARVICE_SLURM_CLUSTER_PORT": str(port),
        "JARVICE_SLURM_SSH_PKEY": key,
        "JARVICE_SLURM_BIN_DIR": str(commands),
        "JARVICE_USERS_ID_MAPPING": str(mapping),
    }


def on_this_machine(folder: Path) -> CommandLine:
    """With the local connector, and a stand-in for Apptainer in ``bin``."""
    (folder / "bin").mkdir()
    (folder / "bin" / "apptainer").write_text(_APPTAINER)
    (folder / "bin" / "apptainer").chmod(0o755)
    command = CommandLine(folder, {"JARVICE_BAREMETAL_CONNECTOR": "local"})
    command.file.write_text(SPEC.replace("/images/app.sif", str(command.file)) + "overlay_mb: 0\n")
    return command
