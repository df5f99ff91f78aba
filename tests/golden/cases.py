"""The cases: where their input comes from, and what is rendered from it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from pipeline.prepare import Preparer
from pipeline.render import BatchScript, PayloadRenderer
from pipeline.settings import Settings, load
from pipeline.slurm.api_versions import API_VERSIONS

HERE = Path(__file__).parent
EXAMPLES = Path(__file__).parents[2] / "examples" / "upstream"

PAYLOADS = HERE / "payloads"

IN_PAYLOADS = {
    "everything": API_VERSIONS[:1],
    "held-gpu-job": API_VERSIONS[:1],
    "hostile-text": API_VERSIONS[:1],
    "native-everything": API_VERSIONS[:1],
    "native-http": API_VERSIONS[:1],
    "scratch-folders": API_VERSIONS[:1],
    "slurm-options": API_VERSIONS,
}
"""The cases whose payloads for slurmrestd are expected too, and in which versions."""

BEARER = "a bearer token"


@dataclass(frozen=True)
class Case:
    """A form or a native spec, the settings that differ from the defaults, and what must come of them."""

    name: str
    document: Mapping[str, Any]
    settings: Mapping[str, str] = field(default_factory=dict)
    is_native: bool = False
    logins: Mapping[str, Any] = field(default_factory=dict)
    """Registry logins, by their names in the spec."""

    @property
    def expected_file(self) -> Path:
        return HERE / f"{self.name}.sh"

    def rendered(self) -> str:
        """The batch script as a dry run prints it."""
        return self._batch()[1].masked()

    def sent(self) -> str:
        """The batch script as it goes to the cluster, with its secrets."""
        return self._batch()[1].text

    def payload(self, version: str) -> str:
        """The payload for slurmrestd as a dry run prints it; its script is the expected file's."""
        ours, batch = self._batch()
        made = PayloadRenderer(ours).payload(batch, version, user="kirby", home="/home/kirby")
        document = json.loads(made.masked())
        assert document["script"] == batch.masked()
        document["script"] = f"<{self.expected_file.name}>"
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def _batch(self) -> tuple[Settings, BatchScript]:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "logins.yaml"
            file.touch(mode=0o600)
            file.write_text(yaml.safe_dump({"registry_logins": dict(self.logins)}), encoding="utf-8")
            ours = load({"JARVICE_DOWNSTREAM_REGISTRY_LOGINS": str(file), **self.settings})
            preparer = Preparer(ours)
            job = (preparer.check_spec if self.is_native else preparer.check)(self.document)
            return ours, preparer.render(job)


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
    if "spec" in document:
        changed, logins = document.get("settings", {}), document.get("logins", {})
        return Case(file.stem, document["spec"], changed, is_native=True, logins=logins)
    script: str = document["script"]
    if document.get("line_ends") == "CRLF":
        script = script.replace("\n", "\r\n")
    encoded = b64encode(script.encode("utf-8")).decode("ascii")
    form = {**document["form"], "hpc_script": {"singularity": encoded}, "bearer": BEARER}
    return Case(file.stem, form, document.get("settings", {}))
