"""The variables that a template may use. ``docs/templates.md`` documents them; a test holds both together."""

from __future__ import annotations

from base64 import b64encode

from pipeline.job import Credentials, Job, JobFiles
from pipeline.settings import Settings


def context(job: Job, settings: Settings) -> dict[str, object]:
    """What a batch script's templates get."""
    files = JobFiles(settings.job_scratch_dir, job.name)
    return {
        "name": job.name,
        "number": job.number,
        "application": job.application,
        "user": job.user,
        "architecture": job.architecture,
        "nodes": job.resources.nodes,
        "cores": job.resources.cores,
        "gpus": job.resources.gpus,
        "memory_gb": job.resources.memory_gb,
        "control": files.control,
        "output": files.output,
        "directives": directives(job, settings),
        "parameters": parameters(job, settings),
        "script": job.script,
        "verbose": settings.singularity_verbose,
    }


def directives(job: Job, settings: Settings) -> dict[str, object]:
    """Options of sbatch in the order they stand in the script; True is a bare option."""
    asked = job.resources
    options: dict[str, object] = {
        "job-name": settings.job_name_prefix + job.name,
        "output": JobFiles(settings.job_scratch_dir, job.name).output,
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
    return {**options, **asked.sbatch_options}


def parameters(job: Job, settings: Settings) -> dict[str, object]:
    """The variables that the upstream's script finds set, DOWNSTREAM_PARAMETERS of the contract."""
    app, init = job.app_image, job.init_image
    verbose = settings.singularity_verbose
    return {
        "JARVICE_JOB_SCRATCH_DIR": settings.job_scratch_dir,
        "JARVICE_JOB_GLOBAL_SCRATCH_DIR": settings.job_global_scratch_dir,
        "JARVICE_JOB_APP_IS_IN_GLOBAL_REGISTRIES": str(job.app_in_global_registries),
        "SINGULARITYENV_JARVICE_SERVICE_PORT": settings.job_service_port,
        "SINGULARITYENV_JARVICE_SSH_PORT": settings.job_ssh_port,
        "JARVICE_SINGULARITY_TMPDIR": settings.singularity_tmpdir,
        "JARVICE_SINGULARITY_OVERLAY_SIZE": job.overlay_mb,
        **_login("JARVICE_INIT_DOCKER", init.credentials),
        **_login("JARVICE_DOCKER", app.credentials),
        "JARVICE_APP_IMAGE": f"docker://{app.reference}",
        "JARVICE_INIT_IMAGE": f"docker://{init.reference}",
        "JARVICE_CMD": job.command,
        "SV": "true" if verbose else "false",
        "SV_FLAG": "-v" if verbose else "-s",
        "SCHTTP_PROXY": settings.baremetal_http_proxy,
        "SCHTTPS_PROXY": settings.baremetal_https_proxy,
        "SCNO_PROXY": settings.baremetal_no_proxy,
    }


def _login(prefix: str, credentials: Credentials) -> dict[str, object]:
    return {
        f"{prefix}_USERNAME": b64encode(credentials.username.encode()).decode(),
        f"{prefix}_PASSWORD": b64encode(credentials.password.encode()).decode(),
    }
