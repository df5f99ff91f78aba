"""From a form to what would be sent. A submission and a dry run both come this way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline import intake
from pipeline.job import Job
from pipeline.registry_logins import RegistryLogins
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings


class Prepared(NamedTuple):
    """A checked job and its batch script."""

    job: Job
    batch: BatchScript


class Preparer:
    """Checks forms and renders them; needs no network, keys or cluster."""

    def __init__(self, settings: Settings, *, secrets_inside: bool = False) -> None:
        """``secrets_inside``: batch scripts bring their secrets, for a person who wants to see them."""
        self._settings = settings
        self._logins = RegistryLogins(settings.registry_logins)
        self._renderer = Renderer(settings, secrets_inside=secrets_inside)

    def prepare(self, form: Mapping[str, Any]) -> Prepared:
        """The job of a submit form and its batch script. Raises as the two steps do."""
        job = self.check(form)
        return Prepared(job, self.render(job))

    def check(self, form: Mapping[str, Any]) -> Job:
        """The job of a submit form. Raises InvalidJob, which names the field."""
        return intake.read_form(form, self._settings)

    def check_spec(self, spec: Mapping[str, Any]) -> Job:
        """The job of a native spec.

        Raises:
            InvalidJob: names the field.
            SettingsFault: the file of registry logins cannot be used.
        """
        return intake.read_spec(spec, self._settings, self._logins)

    def render(self, job: Job) -> BatchScript:
        """The job's batch script. Raises TemplateFault, or InvalidJob for one that is too large."""
        return self._renderer.batch_script(job)

    def context(self, job: Job) -> dict[str, object]:
        """The variables that the templates get for this job."""
        return self._renderer.context(job)
