"""From a native job spec to a checked ``Job``."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.errors import InvalidJob
from pipeline.intake import images
from pipeline.intake.checking import check
from pipeline.intake.digest import digest
from pipeline.intake.sbatch_options import BARE_OPTIONS, CONTROL, SWITCHES, sbatch_option
from pipeline.job import Container, Credentials, Image, Job, Mount, Resources
from pipeline.settings import Settings

LEAST_OVERLAY_MB = 64
"""What Singularity makes at the least."""

_FIXED = ("HOME", "PREPEND_PATH", "APPEND_PATH", "APPTAINER_NO_EVAL", "SINGULARITY_NO_EVAL")
"""Variables of a container that Singularity or the templates set, or that mean something else to it."""

_FIELDS_OF_OPTIONS = {
    "time": "walltime",
    "partition": "partition",
    "mem": "memory_gb",
    "gpus": "gpus",
    "gpus-per-node": "gpus",
    "licenses": "licenses",
    "exclusive": "exclusive",
    "hold": "held",
}
"""Options of sbatch that fields stand for: a job says each thing once."""

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What can be in a document and cannot be sent."""


Logins = Callable[[str, str], Credentials]
"""The login of a name, for an image of this registry. Raises InvalidJob when there is none."""


def read(spec: Mapping[str, Any], settings: Settings, logins: Logins) -> Job:
    """The job that a native spec describes. Raises InvalidJob, which names the field and its fault."""
    name = spec.get("name") if isinstance(spec, Mapping) else None
    try:
        check("job", spec, "the job")
        return _job(spec, settings, logins)
    except InvalidJob as fault:
        raise fault.about(name) if isinstance(name, str) else fault from None


def _job(spec: Mapping[str, Any], settings: Settings, logins: Logins) -> Job:
    for field, part in spec.items():
        _check_values(part, field)
    if not spec.get("command") and not spec.get("script"):
        raise InvalidJob("command", expected="there, and no script either: a job has one of them")
    resources = _resources(spec)
    mpi, ranks = _mpi(spec, resources.cores, settings)
    login = _login(spec, logins)
    return Job(
        name=spec["name"],
        number=0,
        resources=resources,
        work=Container(
            image=Image(spec["image"], login),
            command=tuple(spec.get("command", ())),
            script=_script(spec.get("script", "")),
            environment=_environment(spec.get("environment", {})),
            mounts=tuple(
                Mount(mount["source"], mount.get("target", mount["source"]), mount.get("read_only", False))
                for mount in spec.get("mounts", ())
            ),
            working_dir=spec.get("working_dir", ""),
            pull=spec.get("pull", "always"),
            image_in_global_registries=images.in_global_registries(settings, spec["image"]),
            mpi=mpi,
            ranks_per_node=ranks,
        ),
        overlay_mb=_overlay_mb(spec, ranks, settings),
        user=spec["user"],
        architecture=images.go_architecture(spec.get("architecture", "")),
        held=spec.get("held", False),
        digest=digest({field: part for field, part in spec.items() if field != "held"}),
        secrets=tuple(_spellings(login.password)),
    )


def _resources(spec: Mapping[str, Any]) -> Resources:
    partition = spec.get("partition", "")
    if CONTROL.search(partition):
        raise InvalidJob("partition", value=partition, expected="free of control characters")
    return Resources(
        nodes=spec.get("nodes", 1),
        cores=spec.get("cores", 1),
        memory_gb=spec.get("memory_gb", 0),
        gpus=spec.get("gpus", 0),
        walltime=spec.get("walltime", ""),
        licenses=spec.get("licenses", ""),
        partition=partition,
        exclusive=spec.get("exclusive", False),
        sbatch_options=dict(_sbatch_options(spec.get("sbatch", {}))),
    )


def _sbatch_options(options: Mapping[str, str | int | bool]) -> Iterator[tuple[str, str | bool]]:
    for name, value in options.items():
        field = f"sbatch.{name}" if name.isascii() and name.isprintable() else "sbatch"
        option = sbatch_option(name, field, f"{name}: {value}")
        if option in _FIELDS_OF_OPTIONS:
            raise InvalidJob(field, expected=f"taken here: the field {_FIELDS_OF_OPTIONS[option]} says it")
        if option in SWITCHES and value is not True:
            raise InvalidJob(field, value=value, expected="true: the option takes no value")
        if value is False or (value is True and option not in BARE_OPTIONS):
            raise InvalidJob(field, value=value, expected="a value that sbatch takes")
        if CONTROL.search(str(value)):
            raise InvalidJob(field, value=value, expected="free of control characters")
        yield option, True if value is True else str(value)


def _mpi(spec: Mapping[str, Any], cores: int, settings: Settings) -> tuple[str, int]:
    """The type of MPI, empty for none, and the ranks of each node."""
    wanted = spec.get("mpi", False)
    if wanted is False:
        if "ranks_per_node" in spec:
            raise InvalidJob("ranks_per_node", expected="of use without mpi")
        return "", 1
    ranks = spec.get("ranks_per_node", cores)
    if ranks > cores:
        raise InvalidJob("ranks_per_node", value=ranks, expected=f"within the {cores} cores of a node")
    return settings.mpi if wanted is True else wanted, ranks


def _overlay_mb(spec: Mapping[str, Any], ranks: int, settings: Settings) -> int:
    """MB of a node. Many ranks of a node have no overlay unless the job asks for one."""
    mb: int = spec.get("overlay_mb", settings.singularity_overlay_size if ranks == 1 else 0)
    if 0 < mb < LEAST_OVERLAY_MB * ranks:
        field = "overlay_mb" if "overlay_mb" in spec else "JARVICE_SINGULARITY_OVERLAY_SIZE"
        each = f" for each of a node's {ranks} ranks" if ranks > 1 else ""
        raise InvalidJob(field, value=mb, expected=f"0, or {LEAST_OVERLAY_MB} or more{each}")
    return mb


def _environment(variables: Mapping[str, str | int]) -> dict[str, str]:
    for name in variables:
        if name in _FIXED:
            raise InvalidJob(f"environment.{name}", expected="a variable that a job can set")
    return {name: str(value) for name, value in variables.items()}


def _script(text: str) -> str:
    return text if not text or text.startswith("#!") else f"#!/bin/sh\n{text}"


def _check_values(part: Any, field: str) -> None:
    if isinstance(part, str) and _NO_TEXT.search(part):
        raise InvalidJob(field, expected="text: it holds a NUL or half a character")
    if isinstance(part, float):  # JSON Schema takes 2.0 for a whole number
        raise InvalidJob(field, value=part, expected="a whole number, or a text in quotes")
    if isinstance(part, Mapping):
        for name, inner in part.items():
            _check_values(inner, f"{field}.{name}")
    elif isinstance(part, list):
        for place, inner in enumerate(part):
            _check_values(inner, f"{field}.{place}")


def _login(spec: Mapping[str, Any], logins: Logins) -> Credentials:
    wanted = spec.get("credentials", "")
    if not wanted:
        return Credentials()
    if spec["image"].startswith("/"):
        raise InvalidJob("credentials", expected="of use for an image that is a file")
    return logins(wanted, images.registry_of(spec["image"]))


def _spellings(password: str) -> Iterator[str]:
    if password:
        yield password
        yield b64encode(password.encode()).decode()
