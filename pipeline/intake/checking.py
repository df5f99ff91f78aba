"""Documents against their JSON Schemas, and what a person is told of a fault."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from pipeline.errors import InvalidJob, MissingField
from pipeline.shipped import schema

_SECRET_FIELDS = ("bearer", "hpc_script", "credentials")
_SECRET_DOCUMENTS = ("registry_logins",)
"""Of these not even the name of a field is told that is none: it may be a value in the wrong place."""

_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of names to values",
    "null": "empty",
}


def check(name: str, document: object, whole: str = "the form") -> None:
    """Check a document against ``schemas/<name>.schema.json``; ``whole`` is what a message calls it.

    Raises:
        InvalidJob: names the field and what it is not; values that may be secret are left out.
    """
    fault = best_match(_validator(name).iter_errors(document))
    if fault is None:
        return
    field = ".".join(_shown(part) for part in fault.absolute_path)
    if fault.validator == "required":
        missing = next(key for key in fault.validator_value if key not in fault.instance)
        raise MissingField(f"{field}.{missing}" if field else missing)
    if fault.validator == "additionalProperties" and isinstance(fault.instance, Mapping):
        if name in _SECRET_DOCUMENTS:
            raise InvalidJob(field or whole, expected=f"of these fields alone: {', '.join(_known(fault))}")
        raise _unknown(field, list(fault.instance), fault)
    secret = name in _SECRET_DOCUMENTS or field.partition(".")[0] in _SECRET_FIELDS
    raise InvalidJob(field or whole, value=None if secret else fault.instance, expected=_expected(fault))


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def _unknown(within: str, given: list[object], fault: ValidationError) -> InvalidJob:
    known = _known(fault)
    unknown = next(str(key) for key in given if key not in known)
    near = difflib.get_close_matches(unknown, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
    field = f"{within}.{_shown(unknown)}" if within else _shown(unknown)
    return InvalidJob(field, expected=f"a field{hint}")


def _shown(part: object) -> str:
    """A name that somebody else has chosen, on one line and of whole characters."""
    name = str(part)
    return name if name.isprintable() else ascii(name)


def _known(fault: ValidationError) -> list[str]:
    return list(fault.schema.get("properties", {})) if isinstance(fault.schema, Mapping) else []


def _expected(fault: ValidationError) -> str:
    said: Any = fault.schema.get("x-expected") if isinstance(fault.schema, dict) else None
    words = {
        "type": " or ".join(_TYPES.get(str(name), str(name)) for name in _list(fault.validator_value)),
        "enum": " or ".join(map(str, _list(fault.validator_value))),
        "pattern": f"of the form {fault.validator_value}",
        "minimum": f"{fault.validator_value} or more",
        "maximum": f"{fault.validator_value} or less",
        "minLength": "allowed to be empty",
    }
    return str(said or words.get(str(fault.validator), f"valid ({fault.validator})"))


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]
