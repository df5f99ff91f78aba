"""Standard output, which may be closed or full."""

from __future__ import annotations

import os
import sys
from typing import IO

import click

from pipeline.errors import DownstreamError


def put_out(result: str | bytes, *, nl: bool = True) -> None:
    """Print a result, at once.

    Raises:
        BrokenPipeError: nobody reads any more.
        DownstreamError: it cannot be written.
    """
    if sys.stdout is None:  # what Python makes of one that is closed
        raise DownstreamError("standard output cannot be written: it is closed")
    try:
        click.echo(result, nl=nl)
    except BrokenPipeError:
        raise
    except OSError as fault:
        discard(sys.stdout)
        raise DownstreamError(f"standard output cannot be written: {fault.strerror}") from None


def discard(*streams: IO[str]) -> None:
    """Let what these still hold go nowhere: Python would write it at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())
