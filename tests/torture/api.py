"""The whole API, asked by schemathesis with every check on, by who may ask and by who may not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.forms import form, script
from tests.harness.service import Sent, Service
from tests.torture.rounds import Round, Table

_KEY = "portal:not-a-real-key"
_SECONDS = 600
_HERE = str(Path(__file__).parents[2])
_TOLD = 4000
"""Characters of what schemathesis says of what it has found."""


def run(size: int, seed: int, folder: Path) -> Table:
    """So many requests for each endpoint and kind of data; first with the login, then without any."""
    table = Table()
    with _service(folder / "service") as (service, job):
        document = _for_schemathesis(service.http.get(f"{service.url}/openapi.json", timeout=30).json(), job)
        (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
        for name, login in (("with the login", ["--auth", _KEY]), ("without it", [])):
            _ask(table, name, folder, service.url, [f"--max-examples={size}", f"--seed={seed}", *login])
        told = re.findall(r"^.* (?:ERROR|CRITICAL) .*$", service.log(), re.MULTILINE)
        table.broken += [f"the log says {line}" for line in told[:5]]
        assert service.get("/live").ok, "the service is gone"
    return table


@contextmanager
def _service(folder: Path) -> Iterator[tuple[Service, Sent]]:
    """One that wants a login, and a job of it that runs."""
    folder.mkdir()
    settings = {
        "JARVICE_BAREMETAL_CONNECTOR": "local",
        "JARVICE_SCHED_SERVER_KEY": _KEY,
        "JARVICE_DOWNSTREAM_POLL_INTERVAL": "0.1",
        "JARVICE_SCHED_LOGLEVEL": "INFO",
        "JARVICE_DOWNSTREAM_REQUEST_RATE": "0",
        "JARVICE_DOWNSTREAM_WRONG_LOGINS": "0",
    }
    service = Service(folder, settings).start()
    user, _, password = _KEY.partition(":")
    service.http.auth = (user, password)
    try:
        yield service, service.submit(form(script("echo said; sleep 3600")))
    finally:
        service.stop()


def _ask(table: Table, name: str, folder: Path, url: str, options: list[str]) -> None:
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG, encoding="utf-8")
    report = folder / f"{name}.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", f"--config-file={config}"),
            *("run", str(folder / "openapi.json"), f"--url={url}"),
            *("--checks=all", "--phases=examples,coverage,fuzzing,stateful", "--continue-on-failure"),
            *("--suppress-health-check=all", "--generation-database=none", "--request-timeout=30"),
            *("--report=json", f"--report-json-path={report}", "--no-color"),
            *options,
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.torture.api_hooks", "PYTHONPATH": _HERE},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    (folder / f"{name}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    found = re.search(r"^ *Test cases:\n *(.*)", done.stdout, re.MULTILINE)
    table.figures[name] = found[1] if found else "nothing was asked"
    if done.returncode != 0 or not found:
        table.broken.append(f"{name}: {(done.stdout + done.stderr)[:_TOLD]}")


# What is of its form can still be no script, no method, or more fields than a form can have once it is
# spelled out. A document cannot say so.
_CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "503"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "413"]
"""


def _for_schemathesis(node: Any, job: Sent) -> Any:
    """The document, where ``args`` is what its JSON says, and with a job that is there for an example.

    schemathesis makes objects then, of the form and not of it; ``api_hooks`` makes JSON of them again.
    """
    document = _with_open_args(node)
    schemas: dict[str, Any] = document["components"]["schemas"]
    schemas["JobArgs"]["example"] = job.ref
    schemas["SubmitArgs"]["example"] = form(script("echo"))
    [path] = document["paths"]["/request/{path}"]["post"]["parameters"]
    path["examples"] = {
        method: {"value": f"{job.name}/{job.number}/{job.job_id}/{method}".rstrip("/")}
        for method in ("", "ping", "info", "tail", "connect", "screenshot")
    }
    return document


def _with_open_args(node: Any) -> Any:
    if isinstance(node, Mapping):
        if node.get("contentMediaType") == "application/json":
            return _with_open_args(node.get("contentSchema", {}))
        return {key: _with_open_args(part) for key, part in node.items()}
    return [_with_open_args(part) for part in node] if isinstance(node, list) else node


ROUND = Round(
    "api",
    "Whatever is asked of the service, it answers as its OpenAPI document says, with no unforeseen fault.",
    100,
    "examples for each endpoint",
    run,
)
