"""Folders of the cluster: what is in one, and where a user's home is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline import shell
from pipeline.errors import InvalidRequest, Nonsense, NotAllowed, NotFound, Unavailable
from pipeline.transport import Completed

_NOT_THERE = 66
_NOT_ALLOWED = 77
_NO_SUCH_KEY = 2
"""Of getent(1)."""

MOST_ENTRIES = 10_000
"""Folders and files of one listing; a part of them would look like all."""

LISTING_BYTES = 8 * 1024 * 1024
"""More than the longest names of so many take."""


@dataclass(frozen=True)
class Listing:
    """A directory of the cluster, as the upstream shows it: one ``/data<path>`` a line.

    Only what lies under one of the roots, links resolved, is listed; without roots that is the
    home folder, unless it is the whole file system, as service users' sometimes is. Where a link is put in
    the path's place meanwhile, the folder that bash has gone into is looked at again before anything of it
    is shown. Links in the folder are neither shown nor followed.
    """

    path: str
    details: bool
    roots: Sequence[str]

    def line(self) -> str:
        """The line of bash."""
        roots, is_root = shell.join(self.roots), ""
        if not self.roots:
            roots, is_root = '"$HOME"', f'[ "$(realpath -e -- "$HOME")" != / ] || exit {_NOT_ALLOWED}; '
        # The x keeps line breaks at the end of a name.
        cut = "%$'\\n'x"
        return (
            f"{is_root}within() {{ local r; for r in {roots}; do "
            f'r=$(realpath -e -- "$r" && echo x) || continue; r=${{r{cut}}}; '
            'r=${r%/}; case "$1/" in "$r"/*) return;; esac; done 2>/dev/null; return 1; }; '
            f"p=$(realpath -m -- {shell.quote(self.path)} && echo x); p=${{p{cut}}}; "
            f'within "$p" || exit {_NOT_ALLOWED}; '
            f'[ -d "$p" ] || exit {_NOT_THERE}; cd -P -- "$p" || exit 1; '
            # Where the process is says the kernel; what bash keeps as $PWD may be out of date.
            f"p=$(realpath -e . && echo x) || exit 1; p=${{p{cut}}}; "
            f'within "$p" || exit {_NOT_ALLOWED}; '
            r"find . -maxdepth 1 -type d,f -printf '%y %Ts %s %P\0' | "
            f'head --zero-terminated --lines={MOST_ENTRIES + 2}; exit "${{PIPESTATUS[0]}}"'
        )

    def parse(self, reply: Completed) -> str:
        """The lines: folders first, by name. Names that no line can hold are left out.

        Raises:
            NotFound: there is no such folder.
            NotAllowed: it is not under a root, or cannot be read.
            InvalidRequest: it holds too much.
        """
        if reply.exit_code == _NOT_THERE:
            raise NotFound(f"pvcls: {self.path!r} is not there")
        if reply.exit_code == _NOT_ALLOWED:
            raise NotAllowed(
                f"pvcls: {self.path!r} is not in a folder that may be listed; "
                "an administrator can add it to JARVICE_DOWNSTREAM_PVCLS_ROOTS"
            )
        records = reply.text().split("\0")[:-1]
        if len(records) > MOST_ENTRIES + 1:  # the folder itself is one
            raise InvalidRequest(f"pvcls: {self.path!r} holds more than {MOST_ENTRIES} folders and files")
        if reply.exit_code != 0:
            raise NotAllowed(f"pvcls: {self.path!r}: {reply.complaint()}")
        entries = sorted(self._entry(record) for record in records)
        return "".join(f"{line}\n" for _, name, line in entries if name.isprintable())

    def _entry(self, record: str) -> tuple[bool, str, str]:
        """Whether it is a file, its name, and its line. Raises Nonsense."""
        try:
            kind, changed, size, name = record.split(" ", 3)
        except ValueError:
            raise Nonsense(f"find: cannot read {record[:80]!r}") from None
        shown = f"/data{self.path.rstrip('/')}/{name}"
        if kind == "d" and name:
            shown += "/"
        return kind != "d", name, f"{changed} {size} {shown}" if self.details else shown


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
