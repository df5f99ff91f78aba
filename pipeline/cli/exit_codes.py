"""What commands end with; docs/commands.md has them all."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h."""
EXIT_INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C has ended."""
EXIT_UNREAD = 141
"""What a shell says of a command that SIGPIPE has ended."""
