"""From the upstream's form to a checked ``Job``."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import InvalidJob, MissingField
from pipeline.intake import devices, images, script
from pipeline.intake.checking import check
from pipeline.intake.digest import digest
from pipeline.job import Credentials, Job, Resources, UpstreamScript
from pipeline.settings import Settings

_MAY_BE_NONE = {
    "JOBOBJ_CTRSECRET", "JOBOBJ_DEVICES", "JOBOBJ_DOCKER_SECRET", "JOBOBJ_GPUS", "JOBOBJ_LICENSES",
    "JOBOBJ_RAM", "JOBOBJ_WALLTIME",
}  # fmt: skip
"""Keys that the upstream writes as ``None`` where it has no value."""


def read(form: Mapping[str, Any], settings: Settings) -> Job:
    """The job that a submit form describes.

    Raises:
        InvalidJob: names the field and what is wrong with it.
    """
    name = form.get("name") if isinstance(form, Mapping) else None
    try:
        check("upstream_submit", form)
        return _job(form, settings)
    except InvalidJob as fault:
        raise fault.about(name) if isinstance(name, str) else fault from None


def _job(form: Mapping[str, Any], settings: Settings) -> Job:
    field = f"hpc_script.{settings.executor}"
    if settings.executor not in form["hpc_script"]:
        raise InvalidJob(
            "hpc_script",
            expected=f"an object with the key {settings.executor!r} (JARVICE_BAREMETAL_EXECUTOR)",
        )
    text = script.decode(field, form["hpc_script"][settings.executor])
    keys = {
        key: value for key, value in script.keys(text).items() if value != "None" or key not in _MAY_BE_NONE
    }
    check("job_keys", keys)
    script.fill(text, "")  # a script that cannot be filled is refused here, with its job's name

    version = int(keys["JOBOBJ_APPDEFVERSION"])
    if version < 2:
        raise InvalidJob("JOBOBJ_APPDEFVERSION", value=version, expected="supported: it must be 2 or more")
    if keys.get("JOBOBJ_INTERACTIVE") != "False":
        raise InvalidJob(
            "JOBOBJ_INTERACTIVE",
            value=keys.get("JOBOBJ_INTERACTIVE", ""),
            expected="supported: interactive jobs cannot be run yet, it must be False",
        )
    repo, application = keys.get("JOBOBJ_REPO", ""), keys.get("JOBOBJ_NAE", "")
    if settings.local_registry and not application:
        raise MissingField("JOBOBJ_NAE")
    if not settings.local_registry and not repo:
        raise MissingField("JOBOBJ_REPO")

    architecture = images.go_architecture(keys.get("JOBOBJ_ARCH", "x86_64"))
    # The local registry is not the image's own: it is not told that one's login.
    registry = settings.local_registry or images.registry_of(repo)
    login = images.login_for(registry, keys.get("JOBOBJ_DOCKER_SECRET", ""), keys.get("JOBOBJ_CTRSECRET", ""))
    app = images.app_image(settings, repo, application, login)
    pseudo = devices.read(keys.get("JOBOBJ_DEVICES", "[]"))
    return Job(
        name=form["name"],
        number=int(form["number"]),
        resources=_resources(int(form["nodes"]), keys, pseudo),
        work=UpstreamScript(
            text=text,
            app_image=app,
            init_image=images.init_image(settings, version, architecture),
            app_in_global_registries=images.in_global_registries(settings, app.reference),
            command=keys.get("JARVICE_CMD", ""),
            application=application,
            appdef_version=version,
        ),
        overlay_mb=settings.singularity_overlay_size if pseudo.overlay_mb is None else pseudo.overlay_mb,
        user=keys.get("JOBOBJ_USER", ""),
        architecture=architecture,
        held=bool(form.get("held")),
        digest=digest([int(form["nodes"]), script.seal(text, _left_out)]),
        bearer=form["bearer"],
        secrets=tuple(_secrets(form["bearer"], text, login, settings)),
    )


def _left_out(secret: str) -> str:
    """Logins may be other ones when a job is sent again."""
    return ""


def _resources(nodes: int, keys: Mapping[str, str], pseudo: devices.Devices) -> Resources:
    gpus = int(keys.get("JOBOBJ_GPUS", 0))
    return Resources(
        nodes=nodes,
        cores=int(keys["JARVICE_CPU_CORES"]),
        memory_gb=int(keys.get("JOBOBJ_RAM", 0)),
        gpus=gpus,
        walltime=keys.get("JOBOBJ_WALLTIME", ""),
        licenses=keys.get("JOBOBJ_LICENSES", ""),
        partition=pseudo.partition,
        exclusive=pseudo.exclusive or gpus > 0,
        sbatch_options=pseudo.sbatch_options,
    )


def _secrets(bearer: str, text: str, login: Credentials, settings: Settings) -> Iterator[str]:
    """Everything of this job that must never be shown, in every spelling it travels in."""
    yield bearer
    token = bearer.removeprefix("Bearer ").strip()
    if token:
        yield token
    for value in script.secret_values(text):
        yield value
        yield value.replace("{{", "{").replace("}}", "}")
    for password in (login.password, settings.docker_password):
        if password:
            yield password
            yield b64encode(password.encode()).decode()
