"""The variables that a template may use. ``docs/templates.md`` documents them; a test holds both together."""

from __future__ import annotations

from base64 import b64encode

from pipeline.intake import images
from pipeline.intake import script as upstream_script
from pipeline.job import Container, Credentials, Job, JobFiles, UpstreamScript
from pipeline.render.sealing import Seal
from pipeline.settings import Settings
from pipeline.slurm.comments import comment


def context(job: Job, settings: Settings, seal: Seal) -> dict[str, object]:
    """What a batch script's templates get: marks of the seal in place of registry logins."""
    files = files_of(job, settings)
    work = job.work
    variables: dict[str, object] = {
        "name": job.name,
        "number": job.number,
        "application": work.application if isinstance(work, UpstreamScript) else "",
        "user": job.user,
        "architecture": job.architecture,
        "nodes": job.resources.nodes,
        "cores": job.resources.cores,
        "gpus": job.resources.gpus,
        "memory_gb": job.resources.memory_gb,
        "control": files.control,
        "output": files.output,
        "directives": directives(job, settings),
        "parameters": {},
        "script": "",
        "container": None,
        "verbose": settings.singularity_verbose,
    }
    if isinstance(work, UpstreamScript):
        variables["script"] = upstream_script.seal(work.text, seal.hide)
        variables["parameters"] = parameters(job, work, settings, seal)
    else:
        variables["container"] = container(job, work, settings, seal)
    return variables


def slurm_name(job: Job, settings: Settings) -> str:
    """What Slurm calls the job."""
    whose = settings.for_native_jobs() if job.is_native else settings
    return whose.job_name_prefix + job.name


def files_of(job: Job, settings: Settings) -> JobFiles:
    """Where the job's files are."""
    return JobFiles(settings.job_scratch_dir, job.name, job.user if job.is_native else "")


def directives(job: Job, settings: Settings) -> dict[str, object]:
    """Options of sbatch in the order they stand in the script; True is a bare option."""
    asked = job.resources
    options: dict[str, object] = {
        "job-name": slurm_name(job, settings),
        "output": files_of(job, settings).output,
        "nodes": asked.nodes,
        "ntasks": asked.cores * asked.nodes,
        "ntasks-per-node": asked.cores,
    }
    if asked.partition:
        options["partition"] = asked.partition
    if asked.exclusive:
        options["exclusive"] = True
    if asked.memory_gb:
        options["mem"] = f"{asked.memory_gb}G"
    if asked.gpus:
        options["gpus-per-node"] = asked.gpus
    if asked.walltime:
        options["time"] = asked.walltime
    if asked.licenses:
        options["licenses"] = asked.licenses
    if job.held:
        options["hold"] = True
    if job.is_native or settings.slurm_interface == "http":
        options["open-mode"] = "append"  # should a name be started twice, the first output stays
    if settings.slurm_interface == "http" and job.digest:
        options["comment"] = comment(job.digest)
    return {**options, **asked.sbatch_options}


def parameters(job: Job, work: UpstreamScript, settings: Settings, seal: Seal) -> dict[str, object]:
    """The variables that the upstream's script finds set, DOWNSTREAM_PARAMETERS of the contract."""
    app, init = work.app_image, work.init_image
    verbose = settings.singularity_verbose
    return {
        "JARVICE_JOB_SCRATCH_DIR": settings.job_scratch_dir,
        "JARVICE_JOB_GLOBAL_SCRATCH_DIR": settings.job_global_scratch_dir,
        "JARVICE_JOB_APP_IS_IN_GLOBAL_REGISTRIES": str(work.app_in_global_registries),
        "SINGULARITYENV_JARVICE_SERVICE_PORT": settings.job_service_port,
        "SINGULARITYENV_JARVICE_SSH_PORT": settings.job_ssh_port,
        "JARVICE_SINGULARITY_TMPDIR": settings.singularity_tmpdir,
        "JARVICE_SINGULARITY_OVERLAY_SIZE": job.overlay_mb,
        **_login("JARVICE_INIT_DOCKER", init.credentials, seal),
        **_login("JARVICE_DOCKER", app.credentials, seal),
        "JARVICE_APP_IMAGE": f"docker://{app.reference}",
        "JARVICE_INIT_IMAGE": f"docker://{init.reference}",
        "JARVICE_CMD": work.command,
        "SV": "true" if verbose else "false",
        "SV_FLAG": "-v" if verbose else "-s",
        "SCHTTP_PROXY": settings.baremetal_http_proxy,
        "SCHTTPS_PROXY": settings.baremetal_https_proxy,
        "SCNO_PROXY": settings.baremetal_no_proxy,
    }


def container(job: Job, work: Container, settings: Settings, seal: Seal) -> dict[str, object]:
    """What the templates of a native job get: the image, where it is kept, and what runs in it."""
    login = work.image.credentials
    return {
        "image": _image(work.image.reference),
        # Two lines of one text: both are put in by the same command.
        "login": f"{seal.hide(login.username)}\n{seal.hide(login.password)}\n" if login.username else "",
        "pull": work.pull,
        "global_cache": f"{settings.job_global_scratch_dir}.jarvice/images"
        if work.image_in_global_registries and settings.job_global_scratch_dir
        else "",
        "tmpdir": settings.singularity_tmpdir,
        "proxies": {
            name: value
            for name, value in (
                ("http_proxy", settings.baremetal_http_proxy),
                ("https_proxy", settings.baremetal_https_proxy),
                ("no_proxy", settings.baremetal_no_proxy),
            )
            if value
        },
        "command": list(work.command),
        "script": work.script,
        "environment": dict(work.environment),
        "binds": [
            f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "") for mount in work.mounts
        ],
        "working_dir": work.working_dir,
        # Each rank is a container of its own, and an overlay has one writer.
        "overlay_mb": job.overlay_mb // work.ranks_per_node,
        "mpi": work.mpi,
        "ranks_per_node": work.ranks_per_node,
    }


def _image(reference: str) -> dict[str, object]:
    if reference.startswith("/"):
        return {"reference": reference, "file": reference}
    name = images.image_name(reference)
    return {
        "reference": reference,
        "file": "",
        "host": name.host,
        "repository": name.repository,
        "tag": name.tag,
        "digest": name.digest,
        "cached_as": f"{name.registry}/{name.repository}".replace(":", "_").replace("/", "+"),
    }


def _login(prefix: str, credentials: Credentials, seal: Seal) -> dict[str, object]:
    return {
        f"{prefix}_USERNAME": b64encode(credentials.username.encode()).decode(),
        f"{prefix}_PASSWORD": seal.hide(b64encode(credentials.password.encode()).decode()),
    }
