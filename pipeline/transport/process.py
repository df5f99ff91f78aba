"""Commands on this machine."""

from __future__ import annotations

import subprocess  # nosec B404 # this module runs commands
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import Unavailable
from pipeline.transport import Completed, Limits


def run(
    line: str, *, folder: Path, environment: Mapping[str, str], limits: Limits, stdin: bytes = b""
) -> Completed:
    """Run a line of bash in a folder.

    Raises:
        Unavailable: it took too long, gave too much output, or bash is not there.
    """
    try:
        done = subprocess.run(  # noqa: S603  # nosec B603 # the line is built and quoted by this project
            ["/bin/bash", "--noprofile", "--norc", "-c", line],
            input=stdin,
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"a local command took more than {limits.seconds:g} s") from None
    except OSError as fault:
        raise Unavailable(f"cannot run bash in {folder}: {fault}") from None
    if len(done.stdout) > limits.output_bytes:
        raise Unavailable(f"a local command gave more than {limits.output_bytes} bytes of output")
    return Completed(done.returncode, done.stdout, done.stderr)
