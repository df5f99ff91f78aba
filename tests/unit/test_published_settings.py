"""The documents made from the settings' declarations, and every JSON Schema that ships."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from pipeline.cli.commands import commands
from pipeline.settings import Settings, load
from pipeline.settings.load import DECLARED
from pipeline.shipped import folder

SCHEMAS = sorted(folder("schemas").glob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "file"),
    [(["settings"], "config/defaults.yaml"), (["settings", "--schema"], "schemas/settings.schema.json")],
)
def test_the_shipped_document_is_what_the_command_prints(arguments: list[str], file: str) -> None:
    printed = CliRunner().invoke(commands, arguments, catch_exceptions=False).output
    shipped = folder(file.split("/")[0]) / file.split("/")[1]
    assert shipped.read_text(encoding="utf-8") == printed, f"jarvice-downstream {' '.join(arguments)} >{file}"


def test_the_defaults_file_is_a_file_of_settings_that_changes_nothing() -> None:
    assert load({"JARVICE_DOWNSTREAM_CONFIG": str(folder("config") / "defaults.yaml")}) == Settings()


def test_the_defaults_file_fits_its_schema() -> None:
    document = yaml.safe_load((folder("config") / "defaults.yaml").read_text(encoding="utf-8"))
    schema = json.loads((folder("schemas") / "settings.schema.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []
    assert set(document) == set(schema["properties"]) == set(DECLARED)


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.stem)
def test_a_schema_is_a_schema_of_2020_12_and_named_after_its_file(file: object) -> None:
    document = json.loads((folder("schemas") / getattr(file, "name", "")).read_text(encoding="utf-8"))
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == getattr(file, "name", "")
    assert document["title"]
    Draft202012Validator.check_schema(document)
