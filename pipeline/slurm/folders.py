"""Folders of the cluster: what is in one, and where a user's home is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline import shell
from pipeline.errors import Nonsense, NotAllowed, NotFound, Unavailable
from pipeline.transport import Completed

_NOT_THERE = 66
_NOT_ALLOWED = 77
_NO_SUCH_KEY = 2
"""Of getent(1)."""


@dataclass(frozen=True)
class Listing:
    """A directory of the cluster, as the upstream shows it: one ``/data<path>`` a line.

    Only what lies under one of the roots, links resolved, is listed; without roots that is the
    home folder.
    """

    path: str
    details: bool
    roots: Sequence[str]

    def line(self) -> str:
        """The line of bash."""
        roots = shell.join(self.roots) if self.roots else '"$HOME"'
        shown = "/data" + self.path.rstrip("/").replace("\\", "\\\\").replace("%", "%%")
        about = "%Ts %s " if self.details else ""
        itself, folder, file = (shell.quote(f"{about}{shown}/{name}\\n") for name in ("", "%P/", "%P"))
        return (
            f"p=$(realpath -m -- {shell.quote(self.path)}); "
            f'for r in {roots}; do r=$(realpath -e -- "$r") && r=${{r%/}} || continue; '
            'case "$p/" in "$r"/*) '
            f'[ -e "$p" ] || exit {_NOT_THERE}; '
            f'find "$p" -maxdepth 0 -type d -printf {itself} && '
            f'find "$p" -mindepth 1 -maxdepth 1 -type d -printf {folder} && '
            f'find "$p" -mindepth 1 -maxdepth 1 -type f -printf {file}; exit;; esac; done; '
            f"exit {_NOT_ALLOWED}"
        )

    def parse(self, reply: Completed) -> str:
        """The lines.

        Raises:
            NotFound: there is no such path.
            NotAllowed: it is not under a root, or cannot be read.
        """
        if reply.exit_code == _NOT_THERE:
            raise NotFound(f"pvcls: {self.path!r} is not there")
        if reply.exit_code == _NOT_ALLOWED:
            raise NotAllowed(
                f"pvcls: {self.path!r} is not in a folder that may be listed; "
                "an administrator can add it to JARVICE_DOWNSTREAM_PVCLS_ROOTS"
            )
        if reply.exit_code != 0:
            raise NotAllowed(f"pvcls: {self.path!r}: {reply.complaint()}")
        return reply.text()


@dataclass(frozen=True)
class HomeFolder:
    """Where a user of the cluster has the home folder. Source: getent(1), passwd(5)."""

    user: str

    def line(self) -> str:
        """The line of bash."""
        return shell.join(["getent", "passwd", "--", self.user])

    def parse(self, reply: Completed) -> str:
        """The absolute path.

        Raises:
            NotAllowed: the cluster has no such user.
            Unavailable, Nonsense: it cannot be known.
        """
        if reply.exit_code == _NO_SUCH_KEY:
            raise NotAllowed(f"the cluster has no user {self.user!r}")
        if reply.exit_code != 0:
            raise Unavailable(f"getent passwd {self.user}: {reply.complaint() or reply.exit_code}")
        fields = reply.text().rstrip("\n").split(":")
        if len(fields) != 7 or not fields[5].startswith("/"):
            raise Nonsense(f"getent passwd {self.user}: cannot read {reply.text()[:80]!r}")
        home = fields[5].rstrip("/")
        if not home:
            raise NotAllowed(f"the cluster's user {self.user!r} has no home folder of its own")
        return home
