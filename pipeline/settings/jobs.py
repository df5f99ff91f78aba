"""Settings of jobs: their templates, images and folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.settings import kinds
from pipeline.settings.declaration import setting

_TEMPLATES = "Templates"
_IMAGES = "Registries and images"
_JOBS = "What every job gets"

_TMP_OF_NODES = "/tmp"  # noqa: S108  # nosec B108 # nothing of this service is in it


@dataclass(frozen=True)
class JobSettings:
    """What jobs are made with."""

    templates_dir: Path | None = setting(
        "JARVICE_DOWNSTREAM_TEMPLATES",
        kinds.OPTIONAL_PATH,
        "",
        "The site's own templates, searched before the shipped ones.",
        group=_TEMPLATES,
    )
    executor: str = setting(
        "JARVICE_BAREMETAL_EXECUTOR",
        kinds.matching(r"[A-Za-z0-9_-]+", "a key of hpc_script"),
        "singularity",
        "Which of the upstream's scripts is run: a key of hpc_script.",
        group=_TEMPLATES,
    )
    job_name_prefix: str = setting(
        "JARVICE_DOWNSTREAM_JOB_NAME_PREFIX",
        kinds.matching(r"[A-Za-z][A-Za-z_.-]{0,63}", "letters, '_', '.' and '-', without digits"),
        "jarvice_",
        "In front of every Slurm job name. Two portals on one cluster need two prefixes; job names start "
        "with a digit and prefixes hold none, so each sees its own jobs only.",
        group=_TEMPLATES,
    )

    system_registry: str = setting(
        "JARVICE_SYSTEM_REGISTRY",
        kinds.TEXT,
        "us-docker.pkg.dev",
        "Registry of the init images.",
        group=_IMAGES,
    )
    system_repo_base: str = setting(
        "JARVICE_SYSTEM_REPO_BASE",
        kinds.TEXT,
        "jarvice-system/images",
        "Repository of the init images.",
        group=_IMAGES,
    )
    images_tag: str = setting(
        "JARVICE_IMAGES_TAG", kinds.TEXT, "latest", "Tag of the init images.", group=_IMAGES
    )
    docker_username: str = setting(
        "JARVICE_DOCKER_USERNAME",
        kinds.BASE64_TEXT,
        "",
        "Login for the init images, base64.",
        group=_IMAGES,
    )
    docker_password: str = setting(
        "JARVICE_DOCKER_PASSWORD",
        kinds.BASE64_TEXT,
        "",
        "Password for the init images, base64.",
        group=_IMAGES,
        secret=True,
    )
    registry_logins: Path | None = setting(
        "JARVICE_DOWNSTREAM_REGISTRY_LOGINS",
        kinds.OPTIONAL_PATH,
        "",
        "A file of registry logins that native jobs name; nobody else may read it.",
        group=_IMAGES,
    )
    local_registry: str = setting(
        "JARVICE_LOCAL_REGISTRY",
        kinds.TEXT,
        "",
        "Registry that holds every application as <application>:latest; empty uses each image's own.",
        group=_IMAGES,
    )
    local_repo_base: str = setting(
        "JARVICE_LOCAL_REPO_BASE", kinds.TEXT, "", "Repository in the local registry.", group=_IMAGES
    )
    registry_proxy_port: str = setting(
        "JARVICE_REGISTRY_PROXY_PORT",
        kinds.matching(r"[0-9]{0,5}", "a port, or empty"),
        "",
        "Port on localhost of a registry proxy; empty uses none.",
        group=_IMAGES,
    )
    registry_proxy_repos: tuple[str, ...] = setting(
        "JARVICE_REGISTRY_PROXY_REPOS",
        kinds.WORDS,
        "",
        "Images that start with one of these go through the registry proxy.",
        group=_IMAGES,
    )
    job_global_registries: tuple[str, ...] = setting(
        "JARVICE_JOB_GLOBAL_REGISTRIES",
        kinds.WORDS,
        "",
        "Images from these registries are kept in the global scratch folder; empty matches none.",
        group=_IMAGES,
    )

    job_scratch_dir: str = setting(
        "JARVICE_JOB_SCRATCH_DIR",
        kinds.FOLDER_PREFIX,
        "",
        "Folder on the cluster, shared by its nodes, for jobs' files; empty is the user's home folder.",
        group=_JOBS,
    )
    job_global_scratch_dir: str = setting(
        "JARVICE_JOB_GLOBAL_SCRATCH_DIR",
        kinds.FOLDER_PREFIX,
        "",
        "Folder on the cluster for images that all users share.",
        group=_JOBS,
    )
    singularity_tmpdir: str = setting(
        "JARVICE_SINGULARITY_TMPDIR",
        kinds.TEXT,
        _TMP_OF_NODES,
        "Singularity's temporary folder on the nodes.",
        group=_JOBS,
    )
    singularity_overlay_size: int = setting(
        "JARVICE_SINGULARITY_OVERLAY_SIZE",
        kinds.integer(0, 10_000_000),
        600,
        "MB of a node's overlay where the job does not say; 0 is a writable tmpfs.",
        group=_JOBS,
    )
    singularity_verbose: bool = setting(
        "JARVICE_SINGULARITY_VERBOSE", kinds.BOOLEAN, False, "Jobs tell what they do.", group=_JOBS
    )
    mpi: str = setting(
        "JARVICE_DOWNSTREAM_MPI",
        kinds.matching(r"[a-z0-9_]{1,32}", "a type of srun --mpi"),
        "pmix",
        "The type of MPI of native jobs that ask for mpi: true; srun --mpi=list shows what there is.",
        group=_JOBS,
    )
    baremetal_http_proxy: str = setting(
        "JARVICE_BAREMETAL_HTTP_PROXY", kinds.TEXT, "", "Proxy for jobs.", group=_JOBS
    )
    baremetal_https_proxy: str = setting(
        "JARVICE_BAREMETAL_HTTPS_PROXY", kinds.TEXT, "", "Proxy for jobs.", group=_JOBS
    )
    baremetal_no_proxy: str = setting(
        "JARVICE_BAREMETAL_NO_PROXY",
        kinds.TEXT,
        "",
        "Hosts that jobs reach without the proxy.",
        group=_JOBS,
    )
    job_service_port: int = setting(
        "JARVICE_JOB_SERVICE_PORT",
        kinds.integer(1, 65535),
        2228,
        "Port of the application's web service on its node.",
        group=_JOBS,
    )
    job_ssh_port: int = setting(
        "JARVICE_JOB_SSH_PORT",
        kinds.integer(1, 65535),
        2227,
        "Port of the SSH service between a job's containers.",
        group=_JOBS,
    )
