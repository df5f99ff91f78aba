"""Jinja2, made safe for JSON.

Every ``{{ value }}`` is written as JSON: a text with its quotes, a list with its brackets. What is
JSON text already has the type ``JsonText``: the output of blocks, includes and macros, and of the
filter ``verbatim``, which says so in plain sight.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from jinja2.exceptions import TemplateRuntimeError

from pipeline.render.templates import SafeEnvironment


class JsonText(str):
    """Text that is JSON already and is not quoted again."""

    __slots__ = ()


def json_environment(site: Path | None) -> Environment:
    """The environment for JSON templates: the site's folder first, ``shipped/`` to extend."""
    environment = SafeEnvironment(site, JsonText, _finalize)
    environment.filters.update(verbatim=verbatim, assignments=assignments)
    return environment


def verbatim(value: object) -> JsonText:
    """The value as it is, for text that is JSON already."""
    return JsonText(value)


def assignments(variables: Mapping[str, object]) -> list[str]:
    """``["NAME=value", ...]`` of a mapping."""
    return [f"{name}={value}" for name, value in variables.items()]


def _finalize(value: Any) -> Any:
    if isinstance(value, JsonText):
        return value
    if isinstance(value, StrictUndefined):
        return str(value)  # raises, and names the variable
    try:
        return json.dumps(value, allow_nan=False, default=_refuse)
    except ValueError:
        raise TemplateRuntimeError("a number that JSON does not have") from None


def _refuse(value: Any) -> Any:
    if isinstance(value, StrictUndefined):
        return str(value)  # raises, and names the variable
    raise TemplateRuntimeError(f"a {type(value).__name__} is nothing that JSON has")  # it may hold secrets
