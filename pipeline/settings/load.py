"""Settings from a YAML file, from files that hold secrets, and from the environment."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline import redaction
from pipeline.errors import SettingsFault
from pipeline.settings.addresses import authority_faults, is_loopback
from pipeline.settings.declaration import Declaration
from pipeline.settings.declared import Settings
from pipeline.settings.kept_file import LooseMode, read_file
from pipeline.settings.token import TokenFile
from pipeline.settings.yaml_file import parse_yaml

FILE_VARIABLE = "JARVICE_DOWNSTREAM_CONFIG"
"""Names the site's YAML file."""

_SAY_THE_WAY = {"connector", "slurm_interface", "slurmrestd_route", "slurm_ssh_ca_key"}
"""Settings on which it depends what else there has to be."""
_FOR_SSH = {"slurm_cluster_addr", "slurm_ssh_pkey"}
_WITHOUT_SSH = "With JARVICE_SLURM_SERVICE_TOKEN_FILE nothing needs SSH"

_log = logging.getLogger(__name__)

DECLARED: dict[str, Declaration] = {
    declared.name: declared.metadata["declaration"] for declared in fields(Settings)
}
"""Every setting by its YAML key."""


@dataclass(frozen=True)
class Reading:
    """Settings as far as they could be read: what could not has its default and a fault."""

    settings: Settings
    faults: tuple[str, ...]
    unread: frozenset[str]
    """Keys of the settings that have a fault."""

    @property
    def is_way_unknown(self) -> bool:
        """Whether one of them says which way to a cluster is meant, and so what else there has to be."""
        return bool(self.unread & _SAY_THE_WAY)


def load(environment: Mapping[str, str]) -> Settings:
    """The settings: defaults, overridden by the site's file, overridden by the environment.

    Raises:
        SettingsFault: with one sentence for each value that cannot be taken.
    """
    reading = read(environment)
    if reading.faults:
        raise SettingsFault(reading.faults)
    return reading.settings


def read(environment: Mapping[str, str]) -> Reading:
    """The settings and every fault in them."""
    faults: list[str] = []
    values: dict[str, Any] = {}
    unread: set[str] = set()
    for key, (source, raw) in {
        **_from_file(environment.get(FILE_VARIABLE, ""), faults),
        **_from_environment(environment, faults, unread),
    }.items():
        declaration = DECLARED[key]
        try:
            # What a kind makes of its file is the value.
            made = isinstance(raw, TokenFile | Path)
            values[key] = raw if made else declaration.kind.read(raw)
        except ValueError:
            shown = "the value" if declaration.secret else repr(raw)
            faults.append(f"{source}: {shown} is not {declaration.kind.accepts}")
            unread.add(key)
    templates = values.get("templates_dir")
    if templates and not templates.is_dir():
        # A dry run with other templates than the site's would show what will not run.
        faults.append(f"JARVICE_DOWNSTREAM_TEMPLATES: {templates} is not a folder")
    secrets = [values[key] for key, declared in DECLARED.items() if declared.secret and key in values]
    redaction.know("settings", [secret for secret in secrets if isinstance(secret, str)])
    return Reading(Settings(**values), tuple(faults), frozenset(unread))


def service_faults(reading: Reading, way_out: str = "") -> list[str]:
    """What stops a service from running with these settings; a dry run needs less.

    ``way_out`` is said to who lacks a setting.
    """
    settings = reading.settings
    faults: list[str] = []
    if settings.poll_interval >= settings.snapshot_max_age:
        faults.append(
            f"JARVICE_DOWNSTREAM_POLL_INTERVAL: {settings.poll_interval:g} is not less than "
            f"JARVICE_DOWNSTREAM_SNAPSHOT_MAX_AGE, {settings.snapshot_max_age:g}"
        )
    if settings.slurm_known_hosts and not settings.slurm_known_hosts.is_file():
        faults.append(f"JARVICE_SLURM_KNOWN_HOSTS: {settings.slurm_known_hosts} is not a file")
    if settings.connector == "local":
        if not is_loopback(settings.bind_address):
            faults.append(
                f"WAITRESS_BIND_ADDRESS: {settings.bind_address!r} is not a loopback address; "
                "the local connector runs jobs as this service's own user, on 127.0.0.1 only"
            )
        return faults
    for key in () if reading.is_way_unknown else _needed(reading):
        if not getattr(settings, key) and key not in reading.unread:
            declaration = DECLARED[key]
            instead = _WITHOUT_SSH if key in _FOR_SSH and settings.slurmrestd_route == "direct" else way_out
            faults.append(f"{declaration.variable} is missing: {declaration.meaning} {instead}".rstrip())
    return faults + authority_faults("JARVICE_SLURMRESTD_CA_FILE", settings.slurmrestd_ca_file)


def _needed(reading: Reading) -> Iterator[str]:
    """The settings that have no default for this way to a cluster."""
    settings = reading.settings
    is_token_meant = settings.slurm_service_token or "slurm_service_token" in reading.unread
    goes_straight = settings.slurm_interface == "http" and settings.slurmrestd_route == "direct"
    if settings.uses_ssh and not (goes_straight and is_token_meant):
        yield "slurm_cluster_addr"
        if not settings.slurm_ssh_ca_key:
            yield "slurm_ssh_pkey"
    if settings.slurm_interface == "http":
        yield "slurmrestd_addr"
        if is_token_meant:
            yield "slurm_user_home"


def warn_unencrypted(settings: Settings) -> None:
    """Say loudly when anybody on the network can read tokens."""
    if (
        settings.slurm_interface == "http"
        and settings.slurmrestd_route == "direct"
        and settings.slurmrestd_addr.startswith("http://")
        and not is_loopback(settings.slurmrestd_addr.removeprefix("http://").strip("[]"))
    ):
        _log.warning(
            "tokens go to %s unencrypted; use https:// or JARVICE_SLURMRESTD_ROUTE=ssh",
            settings.slurmrestd_addr,
        )


def warn_unknown(environment: Mapping[str, str]) -> None:
    """Log each variable that looks like a setting but is none, with the nearest that is."""
    known = {FILE_VARIABLE, f"{FILE_VARIABLE}_FILE"}
    for declaration in DECLARED.values():
        known |= {declaration.variable, f"{declaration.variable}_FILE"}
    for variable in sorted(environment):
        if variable.startswith(("JARVICE_", "WAITRESS_")) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            _log.warning("%s is not a setting%s", variable, hint)


def _from_file(path: str, faults: list[str]) -> dict[str, tuple[str, Any]]:
    if not path:
        return {}
    try:
        content = read_file(Path(path))
        document = parse_yaml(content.data) or {}
    except OSError as fault:
        faults.append(f"{FILE_VARIABLE}: {path}: cannot be read: {fault.strerror}")
        return {}
    except ValueError as fault:
        faults.append(f"{FILE_VARIABLE}: {path}: {fault}")
        return {}
    if not isinstance(document, dict):
        faults.append(f"{path}: is not a mapping of settings to values")
        return {}
    found = {}
    for key, raw in document.items():
        if key not in DECLARED:
            keys = {declaration.variable: known for known, declaration in DECLARED.items()}
            near = difflib.get_close_matches(str(key), DECLARED, n=1)
            meant = keys.get(key) or next(iter(near), "")
            faults.append(f"{path}: {key} is not a key" + (f"; did you mean {meant}?" if meant else ""))
        elif raw is not None:
            found[key] = (f"{path}: {key}", raw)
    try:
        if any(DECLARED[key].secret and raw for key, (_, raw) in found.items()):
            content.for_us_alone()
    except LooseMode as fault:
        faults.append(f"{FILE_VARIABLE}: {path}: {fault}")
    return found


def _from_environment(
    environment: Mapping[str, str], faults: list[str], unread: set[str]
) -> dict[str, tuple[str, Any]]:
    found: dict[str, tuple[str, Any]] = {}
    for key, declaration in DECLARED.items():
        variable, file_variable = declaration.variable, f"{declaration.variable}_FILE"
        path = environment.get(file_variable, "")
        if path and environment.get(variable):
            faults.append(f"{variable} and {file_variable} are both set; unset one")
            unread.add(key)
        elif path:
            try:
                found[key] = (f"{file_variable}: {path}", _read_file(declaration, Path(path)))
            except OSError as fault:
                faults.append(f"{file_variable}: cannot read {path}: {fault.strerror}")
                unread.add(key)
            except LooseMode as fault:
                faults.append(f"{file_variable}: {path}: {fault}")
                unread.add(key)
            except UnicodeDecodeError:
                faults.append(f"{file_variable}: {path} is not UTF-8 text")
                unread.add(key)
            except ValueError:
                faults.append(f"{file_variable}: what {path} holds is not {declaration.kind.accepts}")
                unread.add(key)
        elif environment.get(variable):
            found[key] = (variable, environment[variable])
        # An empty variable is an absent one: start scripts export empty defaults.
    return found


def _read_file(declaration: Declaration, path: Path) -> Any:
    if declaration.kind.from_file:
        return declaration.kind.from_file(path)
    content = read_file(path)
    data = content.for_us_alone() if declaration.secret else content.data
    return data.decode("utf-8").replace("\r\n", "\n").rstrip("\n")
