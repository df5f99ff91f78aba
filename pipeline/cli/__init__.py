"""The command line: ``jarvice-downstream serve | submit | status | ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.cli.exit_codes import EXIT_INTERRUPTED


def main(words: Sequence[str] | None = None) -> None:
    """Do what the words say; those of the command line, if there are none."""
    try:
        from pipeline.cli.commands import commands  # here, as it takes a while, in which Ctrl-C may come
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    commands(words)
