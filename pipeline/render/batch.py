"""The batch script of a job."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from jinja2 import pass_context
from jinja2.runtime import Context

from pipeline.errors import InvalidJob, SettingsFault
from pipeline.intake import script as upstream_script
from pipeline.job import Job, JobFiles, UpstreamScript
from pipeline.redaction import mask
from pipeline.render.context import context, files_of, slurm_name
from pipeline.render.sealing import Seal, spelled
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
    secrets_file: str = field(default="", repr=False)
    """What has to lie in the control folder as ``secrets`` when the script starts; empty: nothing."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    extras: frozenset[str] = frozenset()
    """sbatch's options that the job itself asks for by name; others come from the templates."""
    is_native: bool = False
    digest: str = ""
    """As ``Job.digest``."""

    def masked(self) -> str:
        """The script with every secret blanked out."""
        return mask(self.text, self.secrets)


class Renderer:
    """Renders jobs with the site's templates, or the shipped ones where the site has none."""

    def __init__(self, settings: Settings, *, secrets_inside: bool = False) -> None:
        """``secrets_inside``: batch scripts bring their secrets, whichever way they are sent.

        Raises:
            SettingsFault: the site's templates cannot be used.
        """
        self._settings = settings
        self._secrets_inside = secrets_inside or not settings.secrets_travel_alone
        self._environment = shell_environment(settings.templates_dir)
        self._environment.filters.update(
            upstream_script=_filled, decoder=_decoder, here_document=_here_document, is_sealed=_is_sealed
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
        seal = _seal(job, self._settings)
        with at_fault(TEMPLATE, job.name, job.secrets):
            variables = self._variables(job, seal)
            text = self._environment.get_template(TEMPLATE).render(**variables, seal=seal)
        size = len(text.encode("utf-8"))
        if size >= SCRIPT_LIMIT:
            raise InvalidJob(
                "hpc_script" if isinstance(job.work, UpstreamScript) else "the job",
                expected=f"small enough: the batch script has {size} bytes, Slurm takes {SCRIPT_LIMIT - 1}",
                job=job.name,
            )
        return BatchScript(
            name=job.name,
            slurm_name=slurm_name(job, self._settings),
            files=files_of(job, self._settings),
            text=text,
            secrets_file="" if self._secrets_inside else seal.program(),
            secrets=(*job.secrets, *map(spelled, job.secrets)),
            extras=frozenset(job.resources.sbatch_options),
            is_native=job.is_native,
            digest=job.digest,
        )

    def context(self, job: Job) -> dict[str, object]:
        """The variables that the templates get for this job."""
        return self._variables(job, _seal(job, self._settings))

    def _variables(self, job: Job, seal: Seal) -> dict[str, object]:
        variables = context(job, self._settings, seal)
        return {**variables, "secrets": seal.program() if self._secrets_inside else ""}


def _seal(job: Job, settings: Settings) -> Seal:
    """Marks that no text of the job and the site holds; repr has every text, and any mark in it as it is."""
    return Seal(repr(asdict(job)) + repr(settings))


def _filled(script: str, parameters: ShellText) -> str:
    """The upstream's script as it will run, with the rendered parameters in its one field."""
    return upstream_script.fill(script, parameters)


@pass_context
def _is_sealed(variables: Context, text: str) -> bool:
    """Whether secrets are to be put into the text, which can be done once."""
    seal: Seal = variables["seal"]
    return seal.is_in(text)


@pass_context
def _decoder(variables: Context, text: str) -> ShellText:
    """The command that makes the text again from its here-document, byte for byte.

    A here-document always ends in a line break, which is cut off again. The job's secrets are put in.
    """
    steps = ["head --bytes=-1"]
    if "\r" in text:
        steps.append(f"LC_ALL=C sed 's/{_carriage_return(text)}/\\r/g'")
    if _is_sealed(variables, text):
        steps.append('LC_ALL=C sed --file="$control/secrets"')
    return ShellText(steps[0] if len(steps) == 1 else f"{{ {' | '.join(steps)}; }}")


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
