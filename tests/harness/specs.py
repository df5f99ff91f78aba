"""Native specs, and a site's file of logins, for tests of what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline import intake
from pipeline.errors import InvalidJob
from pipeline.job import Container, Job
from pipeline.registry_logins import RegistryLogins
from pipeline.settings import Settings

MINIMAL = {"name": "hello", "user": "kirby", "image": "ubuntu", "command": ["hello"]}
NO_LOGINS = RegistryLogins(None)
LOGINS = """
registry_logins:
  lab: {registry: registry.example.com, username: robot, password: hunter2}
  other: {registry: "other.example.com:5000", username: robot, password: hunter3}
  hub: {registry: docker.io, username: robot, password: hunter4}
  short: {registry: short, username: robot, password: hunter5}
"""


def read(settings: Settings | None = None, **fields: Any) -> Job:
    """The job of a minimal spec but for these fields; None leaves one out."""
    spec = {name: value for name, value in {**MINIMAL, **fields}.items() if value is not None}
    settings = settings or Settings()
    return intake.read_spec(spec, settings, RegistryLogins(settings.registry_logins))


def container(job: Job) -> Container:
    """What a native job runs."""
    assert isinstance(job.work, Container)
    return job.work


def refused(settings: Settings | None = None, **fields: Any) -> str:
    """The message; the job is named, and the message is text that can be sent."""
    with pytest.raises(InvalidJob) as fault:
        read(settings, **fields)
    fault.value.message.encode("utf-8")
    assert fault.value.job == fields.get("name", "hello") or not isinstance(fault.value.job, str)
    return fault.value.message


def with_logins(folder: Path, text: str = LOGINS, mode: int = 0o600) -> Settings:
    """Settings with a file of logins."""
    file = folder / "logins.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return Settings(registry_logins=file)
