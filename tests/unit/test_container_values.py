"""No value of a native job can become a command, and what runs in its container gets all as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipeline.errors import DownstreamError
from pipeline.job import Container, Credentials, Image, Job, Mount
from pipeline.prepare import Preparer
from pipeline.render import Renderer
from pipeline.settings import Settings
from tests.harness.container_node import DIGEST, RUNTIME, ContainerNode
from tests.harness.jobs import NATIVE, native_job
from tests.harness.text import HOSTILE_TEXT, ONE_LINE
from tests.unit.test_template_values import CANARIES

REFERENCE = "registry.example.com/group/app:1"

Made = tuple[Job, dict[str, Any]]
"""A job and settings that are not the defaults."""

PLACES: dict[str, Callable[[str], Made]] = {
    "command": lambda text: (native_job(command=("echo", text, text)), {}),
    "script": lambda text: (native_job(script=f"#!/bin/sh\n{text}", command=(text,)), {}),
    "environment": lambda text: (native_job(environment={"A": text}), {}),
    "source of a mount": lambda text: (native_job(mounts=(Mount(text, "/x"),)), {}),
    "target of a mount": lambda text: (native_job(mounts=(Mount("/x", text, True),)), {}),
    "working_dir": lambda text: (native_job(working_dir=text), {}),
    "image": lambda text: (native_job(image=Image(text)), {}),
    "repository": lambda text: (native_job(image=Image(f"registry.example.com/{text}:1")), {}),
    "tag": lambda text: (native_job(image=Image(f"registry.example.com/app:{text}")), {}),
    "registry": lambda text: (native_job(image=Image(f"localhost:{text}/app"), pull="missing"), {}),
    "login": lambda text: (native_job(image=Image(REFERENCE, Credentials(text, text))), {}),
    "mpi": lambda text: (native_job(mpi=text), {}),
    "name": lambda text: (native_job(name=text), {}),
    "partition": lambda text: (native_job(resources=replace(NATIVE.resources, partition=text)), {}),
    "walltime": lambda text: (native_job(resources=replace(NATIVE.resources, walltime=text)), {}),
    "licenses": lambda text: (native_job(resources=replace(NATIVE.resources, licenses=text)), {}),
    "tmpdir": lambda text: (NATIVE, {"singularity_tmpdir": text}),
    "proxies": lambda text: (
        NATIVE,
        {"baremetal_http_proxy": text, "baremetal_https_proxy": text, "baremetal_no_proxy": text},
    ),
    "global scratch": lambda text: (
        native_job(image_in_global_registries=True),
        {"job_global_scratch_dir": text},
    ),
    "scratch": lambda text: (NATIVE, {"job_scratch_dir": f"{text}/"}),
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> ContainerNode:
    node = ContainerNode(tmp_path_factory.mktemp("node"))
    node.answers_digest()
    return node


@pytest.mark.parametrize("place", PLACES)
def test_no_text_of_a_native_job_is_ever_run(node: ContainerNode, place: str) -> None:
    ran = 0
    for canary in CANARIES:
        job, settings = PLACES[place](canary)
        ran += _run_without_harm(node, job, Settings(**settings), canary)
    # A directive can hold no line break, and what names a file with one is not found again.
    assert ran >= sum("\n" not in canary for canary in CANARIES)


def test_no_name_of_an_image_file_is_ever_run(node: ContainerNode) -> None:
    for canary in (canary for canary in CANARIES if "\n" not in canary):  # no image is called so
        file = node.home / "images" / canary
        file.parent.mkdir(exist_ok=True)
        file.touch()
        job = native_job(image=Image(str(file)))
        assert _run_without_harm(node, job, Settings(), canary)
        assert str(file) in (node.arguments("exec") or [])


def test_no_folder_of_an_overlay_is_ever_run(node: ContainerNode) -> None:
    for canary in CANARIES:
        folder = node.home / "tmp" / canary
        folder.mkdir(parents=True)
        settings = Settings(singularity_tmpdir=str(folder))
        assert _run_without_harm(node, replace(NATIVE, overlay_mb=64), settings, canary)
        assert (node.arguments("overlay") or [""])[-1].startswith(f"{folder}/")
        folder.rmdir()  # nothing is left in it


def _run_without_harm(node: ContainerNode, job: Job, settings: Settings, canary: str) -> bool:
    """Whether the container was run."""
    node.clean()
    try:
        batch = Renderer(settings, secrets_inside=True).batch_script(job)
    except DownstreamError:
        assert "\n" in canary  # a directive can hold no line break, so the job is refused
        return False
    assert node.run("bash -n", batch.text.encode("utf-8")).exit_code == 0
    reply = node.started(batch)
    assert not list(node.home.rglob("canary")), reply.complaint()
    return node.arguments("exec") is not None


def _container(job: Job) -> Container:
    assert isinstance(job.work, Container)
    return job.work


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(HOSTILE_TEXT, min_size=1, max_size=4),
    st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), HOSTILE_TEXT, max_size=4),
    ONE_LINE.map(lambda text: f"/{text}"),
    st.booleans(),
)
@example(
    ["", " ", "-n", "--", "$HOME", "a\r\nb", "\\"], {"IFS": ",", "PATH": "", "prefix": "x"}, "/ a'b", True
)
def test_arguments_and_variables_arrive_as_they_are(
    node: ContainerNode, command: list[str], environment: dict[str, str], path: str, read_only: bool
) -> None:
    node.clean()
    job = native_job(
        command=tuple(command),
        environment=environment,
        working_dir=path,
        mounts=(Mount(path, path, read_only),),
    )
    reply = node.started(Renderer(Settings()).batch_script(job))
    assert (reply.exit_code, reply.stderr) == (0, b"")
    image = str(node.home / f".jarvice/images.kirby/registry.example.com+group+app@{DIGEST}")
    said = node.arguments("exec") or []
    place = next(number for number, word in enumerate(said) if word.startswith(image))
    assert said[place + 1 :] == command
    bind = f"{path}:{path}:ro" if read_only else f"{path}:{path}"
    assert said[:place] == ["--cleanenv", "--writable-tmpfs", "--bind", bind, "--pwd", path]
    got = node.environment_of("exec")
    assert {name: got.get(f"APPTAINERENV_{name}") for name in environment} == environment
    assert got["APPTAINER_NO_EVAL"] == "1"


def test_a_container_gets_slurms_variables_as_they_are_and_no_other_of_the_node(node: ContainerNode) -> None:
    node.clean()
    hostile = "$(touch canary)\n'\" *"
    theirs = {"SLURM_JOB_NAME": hostile, "PMIX_RANK": "0", "CUDA_VISIBLE_DEVICES": "0,1", "SECRET": "hunter2"}
    node.environment.update(theirs)
    try:
        node.started(Renderer(Settings()).batch_script(native_job(environment={"SLURM_JOB_ID": "mine"})))
    finally:
        for name in theirs:
            del node.environment[name]
    got = {
        name.removeprefix("APPTAINERENV_"): value
        for name, value in node.environment_of("exec").items()
        if name.startswith("APPTAINERENV_")
    }
    assert got["SLURM_JOB_NAME"] == hostile
    assert (got["PMIX_RANK"], got["CUDA_VISIBLE_DEVICES"], got["SLURM_JOB_ID"]) == ("0", "0,1", "mine")
    assert (got["JOB_JOBID"], got["PROCESS_PROCID"], got["JOB_JOB_FORMATED_NODELIST"]) == ("7", "0", "n1")
    assert not {"SECRET", "HOME", "USER", "PATH", "LANG"} & set(got)


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_TEXT)
@example("echo\r\necho")
@example("END_OF_SCRIPT\nEND_OF_TASK\n<CR>\r<SECRET1>\n")
@example("#!/usr/bin/env python3\nprint()")
def test_a_script_arrives_byte_for_byte(node: ContainerNode, text: str) -> None:
    node.clean()
    node.command(
        "apptainer",
        "for word; do case $word in *:/.jarvice-command:ro)"
        ' cp --preserve=mode "${word%:/*}" "$HOME/got" ;; esac; done\n'
        'case $2 in pull) touch "${@: -2:1}" ;; exec) printf "%s\\0" "$@" >"$CALLS.exec.arguments" ;; esac',
    )
    spec = {
        "name": "a",
        "user": "kirby",
        "image": "ubuntu",
        "overlay_mb": 0,
        "script": text,
        "command": ["1", ""],
    }
    if not text:
        return
    batch = Renderer(Settings()).batch_script(Preparer(Settings()).check_spec(spec))
    try:
        reply = node.started(batch)
    finally:
        node.command("apptainer", RUNTIME)
    assert (reply.exit_code, reply.stderr) == (0, b"")
    wanted = text if text.startswith("#!") else f"#!/bin/sh\n{text}"
    got = node.home / "got"
    assert got.read_bytes() == wanted.encode("utf-8")
    assert got.stat().st_mode & 0o777 == 0o700
    assert (node.arguments("exec") or [])[-3:] == ["/.jarvice-command", "1", ""]
    assert not (node.home / batch.files.control / "command").exists()


@pytest.mark.parametrize("inside", [False, True], ids=["beside the script", "inside the script"])
def test_only_what_pulls_gets_the_login(node: ContainerNode, inside: bool) -> None:
    """The sandbox writes each call's arguments down, curl's too."""
    node.clean()
    login = Credentials("robot", "hunter2 '\"\\$(touch canary)")
    job = native_job(image=Image(REFERENCE, login), script="#!/bin/sh\n")
    batch = Renderer(Settings(), secrets_inside=inside).batch_script(job)
    assert ("hunter2" in batch.text) is inside
    assert bool(batch.secrets_file) is not inside
    control = node.sent(batch)
    assert node.started(batch).exit_code == 0
    assert not (control / "secrets").exists()
    pulls, runs = node.environment_of("pull"), node.environment_of("exec")
    assert pulls["APPTAINER_DOCKER_USERNAME"] == login.username
    assert pulls["APPTAINER_DOCKER_PASSWORD"] == login.password
    assert not [name for name, value in runs.items() if "hunter2" in value or "robot" in value]
    assert b"hunter2" not in (node.bin.parent / "calls").read_bytes()


@pytest.mark.parametrize("verbose", [True, False])
def test_with_singularity_alone_variables_have_its_name(tmp_path: Path, verbose: bool) -> None:
    node = ContainerNode(tmp_path)
    node.answers_digest()
    node.has_only("singularity")
    settings = Settings(singularity_verbose=verbose, singularity_tmpdir="/var/tmp")
    job = native_job(
        environment={"A": "b"}, image=Image(REFERENCE, Credentials("robot", "hunter2")), name="one"
    )
    batch = Renderer(settings).batch_script(job)
    node.sent(batch)
    assert node.started(batch).exit_code == 0
    runs, pulls = node.environment_of("exec"), node.environment_of("pull")
    assert (runs["SINGULARITYENV_A"], runs["SINGULARITY_NO_EVAL"]) == ("b", "1")
    assert (pulls["SINGULARITY_DOCKER_USERNAME"], pulls["SINGULARITY_DOCKER_PASSWORD"]) == (
        "robot",
        "hunter2",
    )
    assert runs["SINGULARITY_TMPDIR"] == pulls["SINGULARITY_TMPDIR"] == "/var/tmp"
    assert not [name for name in runs if name.startswith("APPTAINER")]
    word = "--verbose" if verbose else "--quiet"
    assert all(call.startswith(f"singularity {word} ") for call in node.calls("singularity"))


def test_without_either_one_line_says_so(tmp_path: Path) -> None:
    node = ContainerNode(tmp_path)
    node.has_only()
    reply = node.started(Renderer(Settings()).batch_script(NATIVE))
    said = "The job's container cannot run: n1 has neither apptainer nor singularity in its PATH.\n"
    assert (reply.exit_code, reply.stdout, reply.stderr) == (1, b"", said.encode())
    assert not node.calls("srun")


def test_an_image_file_that_is_not_there_is_told_on_one_line(node: ContainerNode) -> None:
    node.clean()
    reply = node.started(Renderer(Settings()).batch_script(native_job(image=Image("/no/image.sif"))))
    said = "The image /no/image.sif is not there, or cannot be read.\n"
    assert (reply.exit_code, reply.stdout, reply.stderr) == (1, b"", said.encode())


def test_an_overlay_that_does_not_fit_is_told_with_what_is_left(node: ContainerNode) -> None:
    node.clean()
    batch = Renderer(Settings()).batch_script(replace(NATIVE, overlay_mb=2**40))
    reply = node.started(batch)
    assert reply.exit_code == 1
    assert re.fullmatch(
        rf"An overlay of {2**40} MB does not fit: /tmp on n1 has [0-9]+ MB left\.\n", reply.stderr.decode()
    )
    assert node.arguments("exec") is None


def test_the_code_of_the_command_is_the_jobs(node: ContainerNode) -> None:
    node.clean()
    node.command("apptainer", 'case $2 in pull) touch "${@: -2:1}" ;; exec) exit 42 ;; esac')
    batch = Renderer(Settings()).batch_script(NATIVE)
    try:
        assert node.started(batch).exit_code == 42
    finally:
        node.command("apptainer", RUNTIME)
    control = node.home / batch.files.control
    assert control.joinpath("exit").read_text().split()[:2] == ["7", "42"]
