"""The payload that gives a batch script to slurmrestd."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from pipeline.errors import DownstreamError, InvalidJob, SettingsFault, TemplateFault
from pipeline.intake import devices
from pipeline.redaction import mask
from pipeline.render.batch import BatchScript
from pipeline.render.json_environment import json_environment
from pipeline.render.templates import at_fault, template_faults
from pipeline.settings import Settings
from pipeline.shipped import schema
from pipeline.slurm import directives
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.options import OptionFault, Options


@dataclass(frozen=True)
class Payload:
    """What is posted to ``/slurm/<version>/job/submit``."""

    version: str
    document: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def body(self) -> bytes:
        """The payload as it is sent."""
        return json.dumps(self.document, separators=(",", ":")).encode("ascii")

    def masked(self) -> str:
        """The payload for a person to read, with every secret blanked out."""
        return json.dumps(_masked(self.document, self.secrets), indent=2, ensure_ascii=False)


class PayloadRenderer:
    """Renders payloads with the site's templates, or the shipped ones where the site has none."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsFault when the API version or the site's templates cannot be used."""
        if settings.slurmrestd_api_version not in ("", "auto", *API_VERSIONS):
            raise SettingsFault(
                [
                    f"JARVICE_SLURMRESTD_API_VERSION: {settings.slurmrestd_api_version} is not one that this "
                    f"downstream speaks; it speaks {API_VERSIONS[-1]} to {API_VERSIONS[0]}"
                ]
            )
        self._settings = settings
        self._environment = json_environment(settings.templates_dir)
        faults = settings.templates_dir and template_faults(self._environment, settings.templates_dir)
        if faults:
            raise SettingsFault(faults)

    def payload(self, batch: BatchScript, version: str, *, user: str, home: str) -> Payload:
        """The payload of a batch script, in one version of the API, for its owner on the cluster.

        Raises:
            InvalidJob: the job asks for what this version has no field for, or with a wrong value.
            TemplateFault: a template is missing or wrong, or its options are.
        """
        variables = self.context(batch, version, user=user, home=home)
        options: Options = variables["options"]
        template = f"slurmrestd/{version}.json.j2"
        with at_fault(template, batch.name, batch.secrets):
            try:
                text = self._environment.get_template(template).render(variables)
            except OptionFault as fault:
                raise _who_asked(batch, fault) from None
        for option in options.left:
            raise _who_asked(batch, _lost(option, version))
        return Payload(version, _document(text, template, version, batch.name), batch.secrets)

    def context(self, batch: BatchScript, version: str, *, user: str, home: str) -> dict[str, Any]:
        """The variables that the templates get; ``docs/templates.md`` documents them."""
        return {
            "options": Options(directives.read(batch.text), datetime.now()),
            "script": batch.text,
            "name": batch.slurm_name,
            "user": user,
            "home": home,
            "environment": self._login_environment(user, home),
            "version": version,
        }

    def _login_environment(self, user: str, home: str) -> dict[str, str]:
        """What a job has of a login through SSH when it is submitted with sbatch."""
        path = "/usr/local/bin:/usr/bin:/bin"
        if self._settings.slurm_bin_dir:
            path = f"{self._settings.slurm_bin_dir}:{path}"
        environment = {
            "PATH": path,
            "HOME": home,
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "SLURM_SUBMIT_DIR": home,  # sbatch's own: where it was called
        }
        if self._settings.slurm_conf:
            environment["SLURM_CONF"] = self._settings.slurm_conf
        return environment


def _lost(option: str, version: str) -> OptionFault:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", option):
        return OptionFault(
            option, "of the form --option=value, which is what slurmrestd's payload is made from"
        )
    return OptionFault(
        option, f"supported by slurmrestd {version}, which has no field for sbatch's --{option}"
    )


def _who_asked(batch: BatchScript, fault: OptionFault) -> DownstreamError:
    """The fault of who asked for the option: the job, or a template."""
    value = directives.read(batch.text)[fault.option]
    if fault.option in batch.extras:
        field, asked = (
            (f"sbatch.{fault.option}", value)
            if batch.is_native
            else (devices.FIELD, f"sbatch_{fault.option}={value}")
        )
        return InvalidJob(field, value=asked, expected=fault.expected, job=batch.name)
    dashes = "" if fault.option.startswith("-") else "--"
    line = f"#SBATCH {dashes}{fault.option}" + (f"={value}" if value else "")
    return TemplateFault(
        mask(f"the batch script's line '{line}' is not {fault.expected}", batch.secrets), job=batch.name
    )


def _document(text: str, template: str, version: str, job: str) -> dict[str, Any]:
    """The rendered text as what it says, checked; the messages show none of its values."""
    try:
        document: dict[str, Any] = json.loads(text, object_pairs_hook=_once_each)
    except json.JSONDecodeError as fault:
        line = f"line {fault.lineno} of what it renders"
        raise TemplateFault(f"template {template}: no JSON, {line}: {fault.msg}", job=job) from None
    except ValueError as fault:
        raise TemplateFault(f"template {template}: {fault}", job=job) from None
    wrong = best_match(_validator(version).iter_errors(document))
    if wrong:
        where = ".".join(str(step) for step in wrong.absolute_path) or "the payload"
        raise TemplateFault(f"template {template}: {where} {_said(wrong)}", job=job)
    return document


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is there twice")
    return document


def _said(wrong: ValidationError) -> str:
    """What the schema says against a value, without the value."""
    if wrong.validator == "additionalProperties" and isinstance(wrong.instance, dict):
        known = wrong.schema.get("properties", {}) if isinstance(wrong.schema, dict) else {}
        fields = ", ".join(sorted(set(wrong.instance) - set(known)))
        return f"has what slurmrestd does not know: {fields}"
    return f"does not keep to its schema: {wrong.validator} {json.dumps(wrong.validator_value)[:200]}"


@cache
def _validator(version: str) -> Draft202012Validator:
    return Draft202012Validator(schema(f"slurmrestd/{version}"))


def _masked(value: Any, secrets: tuple[str, ...]) -> Any:
    """The value with every secret blanked out of its texts, before JSON spells them otherwise."""
    if isinstance(value, dict):
        return {key: _masked(part, secrets) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part, secrets) for part in value]
    return mask(value, secrets) if isinstance(value, str) else value
