"""From slurmrestd's OpenAPI document to the JSON Schema of a job submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.cluster.schema_corrections import V0_0_38

Schema = dict[str, Any]

LONGEST_DESCRIPTION = 100
"""In characters. Longer ones are left to Slurm's manuals."""

_KEPT = ("type", "enum", "minItems", "maxItems", "deprecated")
"""Of a simple value. Its ``format`` is int32 for what is unsigned, its ``default`` may be of another type."""

_NUMBER: Schema = {
    "$comment": "Without set a number is ignored. Without number slurmrestd takes 0 from v0.0.41 on.",
    "type": "object",
    "properties": {
        "set": {"type": "boolean"},
        "infinite": {"type": "boolean"},
        "number": {"type": "integer"},
    },
    "required": ["set"],
    "additionalProperties": False,
    "if": {"properties": {"set": {"const": True}, "infinite": {"const": False}}},
    "then": {"required": ["number"]},
}

_STRICT = (
    "slurmrestd answers 200 to most fields that it does not know, and warns at best, so that a misspelt one "
    "would be lost silently: here each is an error. What is required is what a job cannot start without, "
    "and a name."
)


def job_fields(document: Schema, version: str) -> dict[str, Schema]:
    """The fields of a job in one version of the API, as JSON Schema."""
    path = document["paths"][f"/slurm/{version}/job/submit"]
    request = _resolved(document, path["post"]["requestBody"]["content"]["application/json"]["schema"])
    job = _plain(document, request["properties"]["job"])
    fields: dict[str, Schema] = job["properties"]
    return V0_0_38.applied(fields) if version == "v0.0.38" else fields


def submission(version: str, fields: Mapping[str, Schema], source: str) -> Schema:
    """The schema of a submission; ``source`` says in a sentence where the fields of its job are from."""
    stricter: dict[str, Schema] = {
        "current_working_directory": {"pattern": "^/"},  # a relative one is taken, and the job fails
        "environment": {"minProperties" if version == "v0.0.38" else "minItems": 1},
        "name": {"minLength": 1},
    }
    properties = {
        name: {**fields[name], **stricter.get(name, {})}
        for name in sorted(fields)
        if name != "script"  # it stands beside the job in all versions
    }
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{version}.schema.json",
        "title": f"Submission of a job to slurmrestd {version}",
        "$comment": f"{source} {_STRICT}",
        "type": "object",
        "properties": {
            "script": {"type": "string", "minLength": 1},
            "job": {
                "type": "object",
                "properties": properties,
                "required": sorted(stricter),
                "additionalProperties": False,
            },
        },
        "required": ["script", "job"],
        "additionalProperties": False,
    }
    if version != "v0.0.38":
        schema["$defs"] = {"number": _NUMBER}
    return schema


def rules(schema: Any) -> Any:
    """A schema without its words for people, which change with each release of Slurm."""
    if isinstance(schema, list):
        return [rules(part) for part in schema]
    if isinstance(schema, dict):
        return {
            key: rules(part)
            for key, part in schema.items()
            if not (key in ("description", "$comment") and isinstance(part, str))
        }
    return schema


def _plain(document: Schema, schema: Schema) -> Schema:
    """A part of the document as JSON Schema, without references into the document."""
    schema = _resolved(document, schema)
    properties: dict[str, Schema] = schema.get("properties", {})
    plain: Schema
    if set(properties) == {"set", "infinite", "number"} and properties["number"]["type"] == "integer":
        plain = {"$ref": "#/$defs/number"}
    elif properties:
        parts = {name: _plain(document, properties[name]) for name in sorted(properties)}
        kept = {name: part for name, part in parts.items() if not _has_no_meaning(part)}
        plain = {"type": "object", "properties": kept, "additionalProperties": False}
    else:
        plain = {key: schema[key] for key in _KEPT if key in schema}
        if schema.get("items"):
            plain["items"] = _plain(document, schema["items"])
    description = schema.get("description", "")
    if description and len(description) <= LONGEST_DESCRIPTION:
        plain["description"] = description
    return plain


def _has_no_meaning(field: Schema) -> bool:
    """Whether Slurm has removed a field and ignores it: it is a list of nothing then."""
    return bool(field.get("deprecated")) and field.get("type") == "array" and "items" not in field


def _resolved(document: Schema, schema: Schema) -> Schema:
    """What a reference stands for; what is said beside the reference is more exact."""
    if "$ref" not in schema:
        return schema
    beside = {key: part for key, part in schema.items() if key != "$ref"}
    name = schema["$ref"].rpartition("/")[2]
    return {**_resolved(document, document["components"]["schemas"][name]), **beside}
