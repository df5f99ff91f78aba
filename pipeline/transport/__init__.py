"""Bytes and time-outs: SSH, HTTP and processes. Nothing here knows what Slurm is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Completed:
    """What a command left behind."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""

    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are shown as such."""
        return self.stdout.decode("utf-8", "replace")

    def complaint(self) -> str:
        """Standard error on one line."""
        return " ".join(self.stderr.decode("utf-8", "replace").split())


@dataclass(frozen=True)
class Limits:
    """Bounds of one command: seconds until it is given up, bytes of output that are taken."""

    seconds: float = 15.0
    output_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class HttpReply:
    """What an HTTP server has answered, whatever the status."""

    status: int
    body: bytes

    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are shown as such."""
        return self.body.decode("utf-8", "replace")
