"""The batch script of a job."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.errors import InvalidJob, SettingsFault
from pipeline.intake import script as upstream_script
from pipeline.job import Job, JobFiles
from pipeline.render.context import context
from pipeline.render.masking import mask
from pipeline.render.shell_environment import ShellText, shell_environment
from pipeline.render.templates import at_fault, template_faults
from pipeline.settings import Settings

TEMPLATE = "sbatch/job.sh.j2"

SCRIPT_LIMIT = 4 * 1024 * 1024
"""Bytes of a batch script that Slurm takes (max_script_size, slurm.conf(5))."""


@dataclass(frozen=True)
class BatchScript:
    """A script ready for sbatch, and what must be masked wherever it is shown."""

    name: str
    """The job's name in the upstream."""
    slurm_name: str
    """Its name in Slurm: prefix and name."""
    files: JobFiles
    text: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    extras: frozenset[str] = frozenset()
    """sbatch's options that the job's own pseudo-devices ask for; others come from the templates."""

    def masked(self) -> str:
        """The script with every secret blanked out."""
        return mask(self.text, self.secrets)


class Renderer:
    """Renders jobs with the site's templates, or the shipped ones where the site has none."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsFault when the site's templates cannot be used."""
        self._settings = settings
        self._environment = shell_environment(settings.templates_dir)
        self._environment.filters.update(
            upstream_script=_filled, decoder=_decoder, here_document=_here_document
        )
        faults = settings.templates_dir and template_faults(self._environment, settings.templates_dir)
        if faults:
            raise SettingsFault(faults)

    def batch_script(self, job: Job) -> BatchScript:
        """The batch script of this job.

        Raises:
            InvalidJob: the script is larger than Slurm takes.
            TemplateFault: a template is missing or wrong.
        """
        with at_fault(TEMPLATE, job.name, job.secrets):
            text = self._environment.get_template(TEMPLATE).render(context(job, self._settings))
        size = len(text.encode("utf-8"))
        if size >= SCRIPT_LIMIT:
            raise InvalidJob(
                "hpc_script",
                expected=f"small enough: the batch script has {size} bytes, Slurm takes {SCRIPT_LIMIT - 1}",
                job=job.name,
            )
        return BatchScript(
            name=job.name,
            slurm_name=self._settings.job_name_prefix + job.name,
            files=JobFiles(self._settings.job_scratch_dir, job.name),
            text=text,
            secrets=job.secrets,
            extras=frozenset(job.resources.sbatch_options),
        )

    def context(self, job: Job) -> dict[str, object]:
        """The variables that the templates get for this job."""
        return context(job, self._settings)


def _filled(script: str, parameters: ShellText) -> str:
    """The upstream's script as it will run, with the rendered parameters in its one field."""
    return upstream_script.fill(script, parameters)


def _decoder(text: str) -> ShellText:
    """The command that makes the text again from its here-document, byte for byte.

    A here-document always ends in a line break, which is cut off again.
    """
    if "\r" not in text:
        return ShellText("head --bytes=-1")
    return ShellText(f"{{ LC_ALL=C sed 's/{_carriage_return(text)}/\\r/g' | head --bytes=-1; }}")


def _here_document(text: str) -> ShellText:
    """The text as it stands in a here-document.

    sbatch refuses a batch script that has CRLF line ends anywhere, so a mark stands for each CR.
    It leaves all else readable, which is what masks find secrets by.
    """
    return ShellText(text.replace("\r", _carriage_return(text)))


def _carriage_return(text: str) -> str:
    """A mark that the text does not hold."""
    mark, count = "<CR>", 0
    while mark in text:
        count += 1
        mark = f"<CR{count}>"
    return mark
