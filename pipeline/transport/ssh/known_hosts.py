"""Files of host keys, as sshd(8) describes them under SSH_KNOWN_HOSTS FILE FORMAT.

paramiko reads them too, but passes over lines with marks, so that a revoked key would be no news to it.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Unavailable

REVOKED = "@revoked"
AUTHORITY = "@cert-authority"

_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_HASHED = re.compile(rf"\|1\|{_BASE64}\|{_BASE64}")
"""A name as HashKnownHosts writes it."""


@dataclass(frozen=True)
class KnownHost:
    """One line: a key, and the hosts whose key it is, or with a mark must not be, or is the authority of."""

    mark: str
    patterns: tuple[str, ...]
    kind: str
    key: bytes

    @classmethod
    def of_line(cls, line: str) -> KnownHost:
        """Raises ValueError for what is not such a line."""
        words = line.split()
        mark = words.pop(0) if words[0].startswith("@") else ""
        if mark not in ("", REVOKED, AUTHORITY):
            raise ValueError
        patterns, kind, key = words[:3]
        blob = b64decode(key, validate=True)
        if not blob[4:].startswith(kind.encode()):
            raise ValueError
        names = tuple(patterns.split(","))
        if any(name.startswith("|") and not _HASHED.fullmatch(name) for name in names):
            raise ValueError
        return cls(mark, names, kind, blob)

    def is_about(self, name: str) -> bool:
        """Whether the line names this host, as ``login.example.com`` or ``[login.example.com]:2222``."""
        named = False
        for pattern in self.patterns:
            if pattern.startswith("!") and _matches(pattern[1:], name):
                return False
            named = named or _matches(pattern, name)
        return named


def read_known_hosts(file: Path) -> list[KnownHost]:
    """The lines of a file.

    Raises:
        Unavailable: the file, or a line of it, cannot be read; a key may be revoked in there.
    """
    try:
        # Comments may be in any encoding, and end with a line break alone; the rest is ASCII.
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError as fault:
        raise Unavailable(f"host keys in {file} cannot be read: {fault}") from None
    known = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                known.append(KnownHost.of_line(line))
            except ValueError:
                raise Unavailable(
                    f"host keys in {file} cannot be read: line {number} is not '<host> <type> <base64 of the "
                    "key>'; mend or remove it"
                ) from None
    return known


def _matches(pattern: str, name: str) -> bool:
    name = name.lower()
    if pattern.startswith("|"):
        return _is_hash(pattern, name)
    signs = {"*": ".*", "?": "."}
    expression = "".join(signs.get(sign) or re.escape(sign) for sign in pattern.lower())
    return re.fullmatch(expression, name) is not None


def _is_hash(pattern: str, name: str) -> bool:
    """Whether ``|1|<salt>|<hash>`` is of this name."""
    _, _, salt, found = pattern.split("|")
    made = hmac.digest(b64decode(salt), name.encode(), "sha1")
    return hmac.compare_digest(made, b64decode(found))
