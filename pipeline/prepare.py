"""From a form to what would be sent. A submission and a dry run both come this way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline import intake
from pipeline.job import Job
from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings


class Prepared(NamedTuple):
    """A checked job and its batch script."""

    job: Job
    batch: BatchScript


class Preparer:
    """Checks forms and renders them; needs no network, keys or cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._renderer = Renderer(settings)

    def prepare(self, form: Mapping[str, Any]) -> Prepared:
        """The job of a submit form and its batch script.

        Raises:
            InvalidJob: names the field and what is wrong with it.
            TemplateFault: a template is missing or wrong.
        """
        job = intake.read(form, self._settings)
        return Prepared(job, self._renderer.batch_script(job))

    def context(self, form: Mapping[str, Any]) -> dict[str, object]:
        """The variables that the templates get for this form. Raises InvalidJob."""
        return self._renderer.context(intake.read(form, self._settings))
