"""The cases: where their input comes from, and what is rendered from it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline import settings
from pipeline.prepare import Preparer
from pipeline.render import PayloadRenderer
from pipeline.slurm.api_versions import API_VERSIONS

HERE = Path(__file__).parent
EXAMPLES = Path(__file__).parents[2] / "examples" / "upstream"

PAYLOADS = HERE / "payloads"

IN_PAYLOADS = {
    "everything": API_VERSIONS[:1],
    "held-gpu-job": API_VERSIONS[:1],
    "hostile-text": API_VERSIONS[:1],
    "scratch-folders": API_VERSIONS[:1],
    "slurm-options": API_VERSIONS,
}
"""The cases whose payloads for slurmrestd are expected too, and in which versions."""

BEARER = "a bearer token"


@dataclass(frozen=True)
class Case:
    """One form, the settings that differ from the defaults, and the script that must come of them."""

    name: str
    form: Mapping[str, Any]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def expected_file(self) -> Path:
        return HERE / f"{self.name}.sh"

    def rendered(self) -> str:
        """The batch script as a dry run prints it."""
        return Preparer(settings.load(self.settings)).prepare(self.form).batch.masked()

    def sent(self) -> str:
        """The batch script as it goes to the cluster, with its secrets."""
        return Preparer(settings.load(self.settings)).prepare(self.form).batch.text

    def payload(self, version: str) -> str:
        """The payload for slurmrestd as a dry run prints it; its script is the expected file's."""
        ours = settings.load(self.settings)
        batch = Preparer(ours).prepare(self.form).batch
        made = PayloadRenderer(ours).payload(batch, version, user="kirby", home="/home/kirby")
        document = json.loads(made.masked())
        assert document["script"] == batch.masked()
        document["script"] = f"<{self.expected_file.name}>"
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def all_cases() -> list[Case]:
    """The examples and the cases of this folder."""
    examples = [_example(file) for file in sorted(EXAMPLES.glob("*.json"))]
    return examples + [_case(file) for file in sorted(HERE.glob("*.yaml"))]


def all_payloads() -> dict[Path, tuple[Case, str]]:
    """The file of each expected payload, and what it must be rendered from."""
    return {
        PAYLOADS / f"{case.name}.{version}.json": (case, version)
        for case in all_cases()
        for version in IN_PAYLOADS.get(case.name, ())
    }


def _example(file: Path) -> Case:
    return Case(file.stem, json.loads(file.read_text(encoding="utf-8")))


def _case(file: Path) -> Case:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    script: str = document["script"]
    if document.get("line_ends") == "CRLF":
        script = script.replace("\n", "\r\n")
    encoded = b64encode(script.encode("utf-8")).decode("ascii")
    form = {**document["form"], "hpc_script": {"singularity": encoded}, "bearer": BEARER}
    return Case(file.stem, form, document.get("settings", {}))
