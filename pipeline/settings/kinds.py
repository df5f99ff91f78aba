"""The kinds of value that a setting takes: how each is read, and how it is described.

A kind's ``read`` takes what the environment (text) or a YAML file (text, number, boolean, list)
holds and raises ``ValueError`` when it is not of the kind. ``accepts`` ends the sentence "... is not".
"""

from __future__ import annotations

import binascii
import logging
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.settings.token import Token, TokenFile

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Kind:
    """One kind of value."""

    accepts: str
    read: Callable[[Any], Any]
    json: dict[str, Any]
    """Its JSON Schema."""
    from_file: Callable[[Path], Any] | None = None
    """For a value that is read from its ``_FILE`` again whenever that changes."""


def _text(raw: Any) -> str:
    if isinstance(raw, bool | list | dict):
        raise ValueError
    value = str(raw)
    if "\0" in value:
        raise ValueError
    return value


TEXT = Kind("text", _text, {"type": "string"})


def _path(raw: Any) -> Path:
    value = _text(raw)
    if not value:
        raise ValueError
    try:
        return Path(value).expanduser()
    except RuntimeError:  # ~name of nobody
        raise ValueError from None


PATH = Kind("a path", _path, {"type": "string", "minLength": 1})
OPTIONAL_PATH = Kind("a path", lambda raw: _path(raw) if raw != "" else None, {"type": "string"})


def matching(pattern: str, accepts: str) -> Kind:
    """Text that a regular expression matches as a whole."""
    compiled = re.compile(pattern)

    def read(raw: Any) -> str:
        value = _text(raw)
        if not compiled.fullmatch(value):
            raise ValueError
        return value

    return Kind(accepts, read, {"type": "string", "pattern": f"^(?:{pattern})$"})


def integer(low: int, high: int) -> Kind:
    """A whole number, bounds included."""

    def read(raw: Any) -> int:
        value = int(_text(raw))
        if not low <= value <= high:
            raise ValueError
        return value

    return Kind(
        f"a whole number from {low} to {high}",
        read,
        {"type": "integer", "minimum": low, "maximum": high},
    )


def seconds(low: float, high: float) -> Kind:
    """A time in seconds, bounds included."""

    def read(raw: Any) -> float:
        value = float(_text(raw))
        if not low <= value <= high:
            raise ValueError
        return value

    return Kind(
        f"a number of seconds from {low:g} to {high:g}",
        read,
        {"type": "number", "minimum": low, "maximum": high},
    )


def _boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
    try:
        return words[str(raw).lower()]
    except KeyError:
        raise ValueError from None


BOOLEAN = Kind("true or false", _boolean, {"type": "boolean"})


def choice(*words: str, aliases: dict[str, str] | None = None) -> Kind:
    """One word of a few; ``aliases`` maps older spellings to them."""
    known = {**{word: word for word in words}, **(aliases or {})}

    def read(raw: Any) -> str:
        try:
            return known[_text(raw)]
        except KeyError:
            raise ValueError from None

    return Kind("one of " + ", ".join(words), read, {"type": "string", "enum": list(known)})


def _words(raw: Any) -> tuple[str, ...]:
    parts = raw if isinstance(raw, list) else _text(raw).split(",")
    return tuple(word for word in (_text(part).strip() for part in parts) if word)


WORDS = Kind("a list separated by commas", _words, {"type": ["array", "string"], "items": {"type": "string"}})


def _folder_prefix(raw: Any) -> str:
    value = _text(raw)
    if re.search(r"[\x00-\x1f\x7f%]", value) or value[:1] not in ("", "/"):
        raise ValueError
    return value if value == "" or value.endswith("/") else value + "/"


FOLDER_PREFIX = Kind(
    "a folder's absolute path without % signs and control characters, or empty",
    _folder_prefix,
    {"type": "string"},
)


def _loglevel(raw: Any) -> int:
    value = _text(raw).upper()
    return logging.getLevelNamesMapping()[value] if value in _LEVELS else int(value)


LOGLEVEL = Kind(
    "a number such as 10, 20, 30 or a name such as DEBUG, INFO, WARNING",
    _loglevel,
    {"type": ["integer", "string"]},
)


def _base64_text(raw: Any) -> str:
    try:
        return b64decode(_text(raw).strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError from None


BASE64_TEXT = Kind("base64 of UTF-8 text", _base64_text, {"type": "string"})


def pem_text(raw: str) -> str:
    """A private key's PEM text from itself or from its base64, as start scripts carry either."""
    text = raw.strip()
    if not text.startswith("-----BEGIN "):
        text = _base64_text("".join(text.split())).strip()
    if not text.startswith("-----BEGIN ") or "PRIVATE KEY-----" not in text:
        raise ValueError
    return text + "\n"


PRIVATE_KEY = Kind(
    "a private key in PEM or OpenSSH form, or its base64",
    lambda raw: pem_text(_text(raw)) if raw != "" else "",
    {"type": "string"},
)


def _http_address(raw: Any) -> str:
    value = _text(raw).rstrip("/")
    if value and not re.fullmatch(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])", value):
        raise ValueError
    return value


HTTP_ADDRESS = Kind(
    "a host name with http:// or https:// in front, without a port or a path",
    _http_address,
    {"type": "string"},
)


def _home_pattern(raw: Any) -> str:
    value = _text(raw)
    if value and not (value.startswith("/") and value.isprintable() and "%u" in value):
        raise ValueError
    return value.rstrip("/")


HOME_PATTERN = Kind("an absolute path with %u for the user's name", _home_pattern, {"type": "string"})

TOKEN = Kind(
    "a token without blanks",
    lambda raw: Token(_text(raw)) if raw != "" else None,
    {"type": "string"},
    from_file=TokenFile,
)


def _login(raw: Any) -> str:
    value = _text(raw)
    user, colon, password = value.partition(":")
    if value and not (user and colon and password):
        raise ValueError
    return value


LOGIN = Kind("<user>:<password>", _login, {"type": "string"})
