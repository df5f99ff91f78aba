"""The upstream's script: its KEY=value lines and its one format field.

The order is the contract's: keys are read from the raw text, then the text is formatted.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from string import Formatter

from pipeline.errors import InvalidJob

FIELD = "DOWNSTREAM_PARAMETERS"
NONE = "None"
"""How the upstream writes that an optional key has no value."""

_SECRET_KEYS = ("JOBOBJ_CTRSECRET", "JOBOBJ_DOCKER_SECRET")
_DOCKER_SECRET = re.compile(r"^JOBOBJ_DOCKER_SECRET=.*$", re.MULTILINE)
_KEY_LINE = re.compile(r"^(JOBOBJ_[A-Z_]+|JARVICE_[A-Z_]+)=(.*?)\r?$", re.MULTILINE)

_FIELD_NAME = re.compile(r"[A-Za-z_]{1,32}")


def decode(field: str, encoded: str) -> str:
    """The script behind its base64.

    Raises:
        InvalidJob: not base64, not UTF-8, or with a NUL, which bash cannot read.
    """
    try:
        text = base64.b64decode("".join(encoded.split()), validate=True).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJob(field, expected="the base64 of UTF-8 text") from None
    except ValueError:  # binascii.Error is one; text beyond ASCII raises the bare kind
        raise InvalidJob(field, expected="base64") from None
    if "\0" in text:
        raise InvalidJob(field, expected="a script (it holds a NUL character)")
    return text


def keys(text: str) -> dict[str, str]:
    """The script's keys: ``KEY=value`` at column 0, the first one wins, empty is absent."""
    found: dict[str, str] = {}
    for match in _KEY_LINE.finditer(text):
        found.setdefault(match[1], match[2])
    return {key: value for key, value in found.items() if value}


def secret_values(text: str) -> list[str]:
    """The values of every line that carries a secret, also of those that a first one outdoes."""
    return [match[2] for match in _KEY_LINE.finditer(text) if _is_secret(match)]


def seal(text: str, hide: Callable[[str], str]) -> str:
    """The script with what ``hide`` gives in place of each secret, which it gets as it is after ``fill``."""

    def sealed(line: re.Match[str]) -> str:
        if not _is_secret(line):
            return line[0]
        _, _, filled = fill(f"{line[1]}={line[2]}", "").partition("=")
        return f"{line[1]}={hide(filled)}{line[0][len(line[1]) + 1 + len(line[2]) :]}"

    return _KEY_LINE.sub(sealed, text)


def _is_secret(line: re.Match[str]) -> bool:
    return line[1] in _SECRET_KEYS and line[2] not in ("", NONE)


def _doubled(line: re.Match[str]) -> str:
    """The docker secret's line with doubled braces; today's upstream sends it in either form."""
    try:
        json.loads(line[0].partition("=")[2])
    except (ValueError, RecursionError):
        return line[0]
    return line[0].replace("{", "{{").replace("}", "}}")


def fill(text: str, parameters: str) -> str:
    """The script with its one field replaced and its doubled braces made single.

    A format template could reach into Python objects; this one can hold ``{DOWNSTREAM_PARAMETERS}``
    and nothing else.

    Raises:
        InvalidJob: a single brace, or another field.
    """
    parts: list[str] = []
    try:
        for literal, field, spec, conversion in Formatter().parse(_DOCKER_SECRET.sub(_doubled, text)):
            parts.append(literal)
            if field is None:
                continue
            if field != FIELD or spec or conversion:
                # A single brace around anything makes a field, and that may be a secret.
                shown = field if _FIELD_NAME.fullmatch(field) else None
                raise InvalidJob(
                    "hpc_script",
                    value=shown,
                    expected=f"{FIELD}, the one field that may stand in single braces",
                )
            parts.append(parameters)
    except ValueError as fault:
        raise InvalidJob("hpc_script", expected=f"a script with doubled braces ({fault})") from None
    return "".join(parts)
