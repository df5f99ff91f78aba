"""From a form to what would be sent. A submission and a dry run both come this way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline import intake, redaction
from pipeline.job import Job
from pipeline.registry_logins import RegistryLogins
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings


class Preparer:
    """Checks forms and renders them; needs no network, keys or cluster."""

    def __init__(self, settings: Settings, *, secrets_inside: bool = False) -> None:
        """``secrets_inside``: batch scripts bring their secrets, for a person who wants to see them."""
        self._settings = settings
        self._logins = RegistryLogins(settings.registry_logins)
        self._renderer = Renderer(settings, secrets_inside=secrets_inside)

    def check(self, form: Mapping[str, Any]) -> Job:
        """The job of a submit form; its secrets are blanked out from now on. Raises InvalidJob."""
        return _with_known_secrets(intake.read_form(form, self._settings))

    def check_spec(self, spec: Mapping[str, Any]) -> Job:
        """The job of a native spec; its secrets are blanked out from now on.

        Raises:
            InvalidJob: names the field.
            SettingsFault: the file of registry logins cannot be used.
        """
        return _with_known_secrets(intake.read_spec(spec, self._settings, self._logins))

    def render(self, job: Job) -> BatchScript:
        """The job's batch script. Raises TemplateFault, or InvalidJob for one that is too large."""
        return self._renderer.batch_script(job)

    def context(self, job: Job) -> dict[str, object]:
        """The variables that the templates get for this job."""
        return self._renderer.context(job)


def _with_known_secrets(job: Job) -> Job:
    redaction.know_here(job.secrets)
    return job
