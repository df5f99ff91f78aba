"""What ``config/defaults.yaml`` and ``schemas/settings.schema.json`` hold, made from the declarations."""

from __future__ import annotations

import json
import textwrap

import yaml

from pipeline.settings.load import DECLARED, FILE_VARIABLE

_HEAD = f"""\
# Every setting: its default, what it means, and its environment variable.
#
# Copy what you change to a file of your own and name that file in {FILE_VARIABLE}.
# The environment overrides the file. VARIABLE_FILE names a file that holds the value, which is
# the way to hand over a secret. Made by `jarvice-downstream settings`; do not edit.
"""


def defaults_yaml() -> str:
    """The documented defaults, as YAML."""
    parts = [_HEAD]
    group = ""
    for key, declaration in DECLARED.items():
        if declaration.group != group:
            group = declaration.group
            parts.append(f"\n# ---- {group} ----\n")
        meaning = textwrap.fill(declaration.meaning, 98, initial_indent="# ", subsequent_indent="# ")
        secret = "; secret, better from a file" if declaration.secret else ""
        value = yaml.safe_dump({key: declaration.default}, default_flow_style=False).strip()
        parts.append(f"\n{meaning}\n# {declaration.variable}: {declaration.kind.accepts}{secret}\n{value}\n")
    return "".join(parts)


def settings_schema() -> str:
    """The JSON Schema of a site's YAML file."""
    properties = {
        key: {
            **declaration.kind.json,
            "description": declaration.meaning,
            "default": declaration.default,
            "x-variable": declaration.variable,
        }
        for key, declaration in DECLARED.items()
    }
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "settings.schema.json",
        "title": "Settings of a downstream",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return json.dumps(document, indent=2) + "\n"
