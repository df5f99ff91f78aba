"""Jinja2, made safe for bash.

Every ``{{ value }}`` is quoted as one word of bash, as HTML templates escape. What is shell text
already has the type ``ShellText``: the output of blocks, includes and macros, and of the filters
that say in plain sight that a value is something else (``verbatim``, ``directive``, ``words``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from jinja2.exceptions import TemplateRuntimeError

from pipeline import shell
from pipeline.render.templates import SafeEnvironment

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BARE = re.compile(r"[A-Za-z0-9_./:,=@%+~^&|!*\[\]()-]+")
_OPTION = re.compile(r"[a-z][a-z0-9-]*")
_SEPARATOR = re.compile(r"(het|pack)(job)", re.IGNORECASE)


class ShellText(str):
    """Text that is bash already and is not quoted again."""

    __slots__ = ()


def shell_environment(site: Path | None) -> Environment:
    """The environment for shell templates: the site's folder first, ``shipped/`` to extend."""
    environment = SafeEnvironment(site, ShellText, _finalize)
    environment.filters.update(verbatim=verbatim, directive=directive, words=words, boundary=shell.boundary)
    return environment


def verbatim(value: object) -> ShellText:
    """The value as it is: for here-documents, whose end mark must be chosen with ``boundary``."""
    return ShellText(value)


def words(values: Iterable[object]) -> ShellText:
    """A list as separate, quoted words."""
    return ShellText(shell.join(str(value) for value in values))


def directive(option: str, value: object) -> ShellText:
    """One ``#SBATCH`` option: ``{{ "time" | directive("01:00:00") }}`` is ``--time=01:00:00``.

    True is a bare option. sbatch reads the line itself, with quotes and backslashes, so a value
    that is more than plain characters is quoted for it.

    Raises:
        TemplateRuntimeError: the option is no long option, or the value has a control character.
    """
    if not _OPTION.fullmatch(option):
        raise TemplateRuntimeError(f"{option!r} is not a long option of sbatch")
    text = "" if value is True else str(value)
    if _CONTROL.search(text):
        raise TemplateRuntimeError(f"the value of --{option} holds a control character")
    if text and not _BARE.fullmatch(text):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    # An option that wants a value and has none would take the next line's for it.
    words = f"--{option}" if value is True else f"--{option}={text}"
    # sbatch takes "hetjob", anywhere in the line, to begin the next component of a heterogeneous job.
    return ShellText(_SEPARATOR.sub(r"\1\\\2", words))


def _finalize(value: Any) -> Any:
    if isinstance(value, ShellText):
        return value
    if isinstance(value, StrictUndefined):
        return str(value)  # raises, and names the variable
    if not isinstance(value, str | int | float):
        raise TemplateRuntimeError(  # the value itself may hold secrets
            f"a {type(value).__name__} is not one word; use a filter such as words to say what it becomes"
        )
    return shell.quote(str(value))
