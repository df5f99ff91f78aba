"""Real bash in a folder of its own, with commands of Slurm that do what a test says."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.transport import Completed, Limits
from pipeline.transport.process import run

LIMITS = Limits(seconds=20)


class Sandbox:
    """A home folder and a PATH whose first folder is this sandbox's ``bin``."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.bin = folder / "bin"
        self.home.mkdir(parents=True, exist_ok=True)
        self.bin.mkdir(exist_ok=True)
        self.environment = {
            "HOME": str(self.home),
            "USER": "kirby",
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "CALLS": str(folder / "calls"),
        }

    def command(self, name: str, body: str) -> None:
        """Make a command; each call of it is a line in ``calls``."""
        file = self.bin / name
        file.write_text(f'#!/bin/bash\necho "{name} $*" >>"$CALLS"\n{body}\n', encoding="utf-8")
        file.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """The calls of a command so far, oldest first."""
        file = Path(self.environment["CALLS"])
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [line for line in lines if line.split(" ", 1)[0] == name]

    def run(self, line: str, stdin: bytes = b"") -> Completed:
        """Run a line of bash in the home folder."""
        return run(line, folder=self.home, environment=self.environment, limits=LIMITS, stdin=stdin)
