"""The one place where secrets are blanked out: of logs, errors, replies and what a person is shown.

What is known to be secret is looked for as it is; what looks like a secret is found by its form. A job's
own output is its user's, and is looked through for what is known alone.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from base64 import b64encode
from collections.abc import Iterable
from contextvars import ContextVar
from types import TracebackType
from urllib.parse import quote

from pipeline import shell

MASK = "********"

SHORTEST = 6
"""Characters of a secret that is looked for everywhere: a shorter one is part of ordinary words."""

_PASSWORD_OF = re.compile(r"[^:\s]*:(.+)", re.DOTALL)
_KEY_LINE = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40,}={0,2}")
"""A line of a private key, which an error may quote alone."""

_IS = r"""(?:["']?\s*[:=]|["']\s*,)\s*(?:b?["'])?"""
"""Between a name and its value, in headers, JSON and reprs."""
_VALUE = r"""(?P<value>[^\r\n"',;}\]]+)"""
_UP_TO_JWT = r"(?<![\w-])(?>(?:|[nrt]|u?(?:[0-9A-Fa-f]{2}){1,2}|[\w-]*?[_-])(?=eyJ))"
"""Before a JSON Web Token: what is left of an escape, in a repr, JSON or an address, or another word.

Looked at once for each run of such characters, or a long text of beginnings would take minutes.
"""

_FORMS = tuple(
    re.compile(form, flags)
    for form, flags in (
        (r"(?P<value>-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?"
         r"(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z))", re.DOTALL),
        (r"(?P<value>LS0tLS1CRUdJTi[A-Za-z0-9+/]{20,}={0,2})", 0),  # the same in base64
        (_UP_TO_JWT + r"(?P<value>eyJ[\w-]{4,}+\.[\w-]{4,}+\.[\w-]*+)", re.ASCII),
        (rf"\b(?:authorization|x-slurm-user-token){_IS}{_VALUE}", re.IGNORECASE),
        # Not what a message says of the variable: "SLURM_JWT: is not a token".
        (rf"\bSLURM_JWT(?=[\"'=]){_IS}{_VALUE}", 0),
        # Not the words after it in "HTTP Basic credentials": those have neither digits nor mixed case.
        (r"\b(?i:basic|bearer) +(?P<value>(?=\S*(?:[0-9=+/]|[a-z][A-Z]))[A-Za-z0-9+/=._~-]{4,})", 0),
        (r"://[^/\s:@]*:(?P<value>[^/\s@]+)@", 0),  # a login in an address
    )
)  # fmt: skip
_ONLY_IF = re.compile(r"PRIVATE KEY|LS0tLS1|eyJ|authorization|user-token|SLURM_JWT|basic|bearer|@", re.I)
"""Stands in every text that one of the forms is in: most texts are looked through once."""

_known: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}
_lock = threading.Lock()
_here: ContextVar[tuple[str, ...]] = ContextVar("secrets of the work that this thread does", default=())


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret blanked out, also as bash, JSON, bash in JSON, and addresses spell it."""
    for secret in sorted(set(secrets) - {""}, key=len, reverse=True):
        for spelling in _spellings(secret):
            text = text.replace(spelling, MASK)
    return text


def know(source: str, secrets: Iterable[str]) -> None:
    """From now on these are blanked out everywhere, in place of what this source had before.

    Of a private key each line is known; of ``<user>:<password>`` also the password; of each also its base64.
    """
    texts: set[str] = set()
    lines: set[str] = set()
    for secret in secrets:
        if "PRIVATE KEY-----" in secret:
            found = _KEY_LINE.findall(secret)
            # The whole in base64 is one line, too.
            wholes = [_base64(secret), _base64(secret.strip())]
            lines.update(found, map(_after_escape, found), wholes)
            continue
        password = _PASSWORD_OF.fullmatch(secret)
        texts.update({secret, password[1]} if password else {secret})
    texts |= set(map(_base64, texts))
    spelled = {spelling for text in texts if len(text) >= SHORTEST for spelling in _spellings(text)}
    with _lock:
        _known[source] = (tuple(sorted(spelled, key=len, reverse=True)), frozenset(lines))


def know_here(secrets: Iterable[str]) -> None:
    """Until ``forget_here`` these are blanked out of what this thread says: those of one job."""
    _here.set((*_here.get(), *(secret for secret in secrets if len(secret) >= SHORTEST)))


def forget_here() -> None:
    """The work of this thread on a job is over."""
    _here.set(())


def redact(text: str) -> str:
    """The text without any secret: those that are known, and whatever has the form of one."""
    text = redact_known(mask(text, _here.get()))
    if _ONLY_IF.search(text):
        for form in _FORMS:
            text = form.sub(_without_value, text)
    return text


def redact_known(text: str) -> str:
    """The text without this service's own secrets: for what a user's job has put out, which is the user's."""
    with _lock:
        known = tuple(_known.values())
    for texts, _ in known:
        for secret in texts:
            if secret in text:
                text = text.replace(secret, MASK)
    if any(lines for _, lines in known):
        text = _KEY_LINE.sub(lambda run: MASK if _is_known_line(run[0], known) else run[0], text)
    return text


class LogLines(logging.Formatter):
    """Records without secrets, tracebacks too; what a record says after its first line is indented.

    So no text from outside can look like a record of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as it is written."""
        first, *more = redact(super().format(record)).splitlines() or [""]
        return "\n".join([_visible(first), *(f"    {_visible(line)}" for line in more)])


def hook_into_python() -> None:
    """What Python itself writes to standard error goes through the log.

    That is warnings, ends of threads, and faults that it can raise to nobody, as in ``__del__``.
    """
    log = logging.getLogger("python")

    def of_thread(end: threading.ExceptHookArgs) -> None:
        if end.exc_value and end.exc_type is not SystemExit:
            log.error("a thread ended", exc_info=(end.exc_type, end.exc_value, end.exc_traceback))

    def of_process(kind: type[BaseException], end: BaseException, where: TracebackType | None) -> None:
        log.critical("unforeseen end", exc_info=(kind, end, where))

    def of_nobody(end: sys.UnraisableHookArgs) -> None:
        if end.exc_value:
            log.error("a fault was ignored", exc_info=(end.exc_type, end.exc_value, end.exc_traceback))

    threading.excepthook = of_thread
    sys.excepthook = of_process
    sys.unraisablehook = of_nobody
    logging.captureWarnings(capture=True)


def _spellings(secret: str) -> list[str]:
    """How a secret is written as it is, inside bash, JSON, bash in JSON, and addresses; longest first."""
    plain = {secret} if "\0" in secret else {secret, shell.quote(secret)}
    in_json = {json.dumps(one)[1:-1] for one in plain}
    # "/" and blanks are left as they are by some.
    in_addresses = {
        quote(secret, safe, errors="surrogatepass").replace("%20", blank)
        for safe in ("", "/")
        for blank in ("%20", "+")
    }
    return sorted(plain | in_json | in_addresses, key=len, reverse=True)


def _without_value(found: re.Match[str]) -> str:
    start, end = found.start("value") - found.start(), found.end("value") - found.start()
    return found[0][:start] + MASK + found[0][end:]


def _is_known_line(run: str, known: Iterable[tuple[tuple[str, ...], frozenset[str]]]) -> bool:
    return any(run in lines or _after_escape(run) in lines for _, lines in known)


def _after_escape(run: str) -> str:
    """In a repr or JSON the n of a line break stands before the line."""
    return run.removeprefix("n")


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def _visible(line: str) -> str:
    """The line with control characters as escapes, so that no terminal obeys them."""
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in line
    )
