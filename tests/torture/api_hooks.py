"""Loaded by schemathesis: the one field of a form holds JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-www-form-urlencoded")
def form_of(context: schemathesis.SerializationContext, value: Any) -> Any:
    """What is to be sent for a body: a form, whose ``args`` is JSON."""
    if isinstance(value, Mapping) and "args" in value:
        value = {**value, "args": json.dumps(value["args"])}
    return {"data": value if isinstance(value, Mapping | str | bytes) else json.dumps(value).encode()}
