"""A native job spec: what makes a job, and what is refused, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import intake
from pipeline.errors import InvalidJob, MissingField
from pipeline.intake.sbatch_options import RESERVED_OPTIONS
from pipeline.job import Container, Credentials, Image, Job, Mount, Resources
from pipeline.prepare import Preparer
from pipeline.render.context import slurm_name
from pipeline.settings import Settings
from pipeline.shipped import schema
from tests.harness.specs import MINIMAL, NO_LOGINS, container, read, refused, with_logins
from tests.harness.text import ANY_TEXT


def test_a_minimal_spec() -> None:
    job = read()
    assert replace(job, digest="") == Job(
        name="hello",
        number=0,
        resources=Resources(nodes=1, cores=1, exclusive=False),
        work=Container(image=Image("ubuntu"), command=("hello",)),
        overlay_mb=600,
        user="kirby",
        architecture="",
    )
    assert job.is_native
    assert slurm_name(job, Settings()) == "jarvice_:hello"


def test_every_field(tmp_path: Path) -> None:
    settings = with_logins(tmp_path)
    document = """
        name: every-thing_1.x
        user: kirby
        image: registry.example.com/group/app:1
        credentials: lab
        pull: missing
        command: [a, "", "b c", "1"]
        script: "echo $1\\n"
        environment: {A: "b", B: 1, _C: ""}
        nodes: 2
        cores: 8
        gpus: 3
        memory_gb: 4
        architecture: aarch64
        walltime: "26:03:04"
        licenses: feat:2,feat3:1
        partition: gpu
        exclusive: true
        sbatch: {qos: high, requeue: true, nice: 5}
        overlay_mb: 512
        mounts:
          - source: /data
          - {source: /scratch/a b, target: /work, read_only: true}
        working_dir: /srv/x
        held: true
        mpi: true
        ranks_per_node: 4
    """
    job = Preparer(settings).check_spec(yaml.safe_load(document))
    assert replace(job, digest="") == Job(
        name="every-thing_1.x",
        number=0,
        resources=Resources(
            nodes=2,
            cores=8,
            memory_gb=4,
            gpus=3,
            walltime="26:03:04",
            licenses="feat:2,feat3:1",
            partition="gpu",
            exclusive=True,
            sbatch_options={"qos": "high", "requeue": True, "nice": "5"},
        ),
        work=Container(
            image=Image("registry.example.com/group/app:1", Credentials("robot", "hunter2")),
            command=("a", "", "b c", "1"),
            script="#!/bin/sh\necho $1\n",
            environment={"A": "b", "B": "1", "_C": ""},
            mounts=(Mount("/data", "/data"), Mount("/scratch/a b", "/work", True)),
            working_dir="/srv/x",
            pull="missing",
            mpi="pmix",
            ranks_per_node=4,
        ),
        overlay_mb=512,
        user="kirby",
        architecture="arm64",
        held=True,
        secrets=("hunter2", "aHVudGVyMg=="),
    )
    assert "hunter2" not in repr(job)


def test_a_script_needs_no_command_and_says_what_runs_it() -> None:
    assert (
        container(read(command=None, script="#!/usr/bin/env python3\n")).script == "#!/usr/bin/env python3\n"
    )
    assert container(read(command=None, script="echo")).script == "#!/bin/sh\necho"
    assert container(read(command=None, script="echo")).command == ()


def test_mpi_and_its_ranks() -> None:
    def mpi(**fields: Any) -> tuple[str, int, int]:
        job = read(Settings(mpi="pmi2"), **fields)
        return container(job).mpi, container(job).ranks_per_node, job.overlay_mb

    assert mpi(mpi=False, cores=4) == ("", 1, 600)
    assert mpi(mpi=True, cores=4) == ("pmi2", 4, 0)
    assert mpi(mpi="pmix_v4", cores=4, ranks_per_node=2) == ("pmix_v4", 2, 0)
    assert mpi(mpi=True, cores=4, ranks_per_node=1) == ("pmi2", 1, 600)
    assert mpi(mpi=True, cores=4, overlay_mb=256) == ("pmi2", 4, 256)


def test_images_of_global_registries() -> None:
    shared = Settings(job_global_registries=("registry.example.com/group",))
    assert container(read(shared, image="registry.example.com/group/app:1")).image_in_global_registries
    assert not container(read(shared, image="registry.example.com/other/app:1")).image_in_global_registries
    assert not container(read(shared, image="/images/app.sif")).image_in_global_registries


@pytest.mark.parametrize("field", ["name", "user", "image"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    spec = {name: value for name, value in MINIMAL.items() if name != field}
    with pytest.raises(MissingField) as fault:
        intake.read_spec(spec, Settings(), NO_LOGINS)
    assert fault.value.message == f"{field} is missing"


@pytest.mark.parametrize("command", [[], None])
def test_a_command_or_a_script_there_must_be(command: object) -> None:
    assert refused(command=command) == "command: is not there, and no script either: a job has one of them"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"comand": ["x"]}, "comand: is not a field; did you mean command?"),
        ({"ranks": 2}, "ranks: is not a field"),
        ({"mounts": [{"source": "/", "readonly": 1}]}, "mounts.0.readonly: is not a field; did you mean"),
        ({"zzz": 1}, "zzz: is not a field; there are name, user, image, "),
        ({"name": "1st"}, "name: '1st' is not a name: a letter, then letters"),
        ({"name": "a" * 129}, "name: 'aaa"),
        ({"name": "a/b"}, "name: 'a/b' is not a name"),
        ({"name": "a\n"}, "name: 'a\\n' is not a name"),
        ({"name": 5}, "name: 5 is not a name"),
        ({"user": "0"}, "user: '0' is not a user name"),
        ({"user": "a b"}, "user: 'a b' is not a user name"),
        ({"user": "kirby\n"}, "user: 'kirby\\n' is not a user name"),
        ({"pull": "never"}, "pull: 'never' is not always or missing"),
        ({"command": "hello"}, "command: 'hello' is not a list"),
        ({"command": ["sleep", 5]}, "command.1: 5 is not a text; numbers and "),
        ({"command": [True]}, "command.0: True is not a text"),
        ({"command": [None]}, "command.0: is not a text"),
        ({"script": ""}, "script: '' is not allowed to be empty"),
        ({"script": ["a"]}, "script: ['a'] is not a text"),
        ({"environment": {"A": True}}, "environment.A: True is not a text or a whole number; true and"),
        ({"environment": {"A": 1.5}}, "environment.A: 1.5 is not a text or a whole number"),
        ({"environment": {"A": None}}, "environment.A: is not a text or a whole number"),
        ({"environment": ["A=b"]}, "environment: ['A=b'] is not a mapping of names"),
        ({"environment": {"A-B": "c"}}, "environment: 'A-B' is not "),
        ({"environment": {"A\n": "c"}}, "environment: 'A\\n' is not "),
        ({"environment": {"": "c"}}, "environment: '' is not "),
        ({"environment": {1: "c"}}, "environment: 1 is not "),
        ({"environment": {True: "c"}}, "environment: True is not "),
        ({"environment": {"HOME": "/x"}}, "environment.HOME: is not a variable that a job can set"),
        ({"environment": {"SINGULARITY_NO_EVAL": "0"}}, "environment.SINGULARITY_NO_EVAL: is not "),
        ({"env\ud800": 1}, r"'env\ud800': is not a field"),
        ({"mounts": [{"source": "/a", "a\x1b[2J": 1}]}, r"mounts.0.'a\x1b[2J': is not a field"),
        ({"nodes": 0}, "nodes: 0 is not 1 or more"),
        ({"nodes": True}, "nodes: True is not a whole number"),
        ({"nodes": "2"}, "nodes: '2' is not a whole number"),
        ({"nodes": 1.5}, "nodes: 1.5 is not a whole number"),
        ({"nodes": 100_001}, "nodes: 100001 is not 100000 or less"),
        ({"cores": 0}, "cores: 0 is not 1 or more"),
        ({"gpus": -1}, "gpus: -1 is not 0 or more"),
        ({"memory_gb": "8G"}, "memory_gb: '8G' is not a whole number"),
        ({"architecture": "../x"}, "architecture: '../x' is not an architecture such as x86_64"),
        ({"walltime": 37800}, "walltime: 37800 is not of the form HH:MM:SS, such as 36:00:00"),
        ({"walltime": "90"}, "walltime: '90' is not "),
        ({"walltime": "00:60:00"}, "walltime: '00:60:00' is not "),
        ({"walltime": "00:00:00"}, "walltime: '00:00:00' is not "),
        ({"walltime": "01:00:00\n"}, "walltime: '01:00:00\\n' is not "),
        ({"licenses": "a b"}, "licenses: 'a b' is not licences such as feat:2,feat3:1"),
        ({"partition": ""}, "partition: '' is not allowed to be empty"),
        ({"partition": "a\nb"}, "partition: 'a\\nb' is not free of control characters"),
        ({"exclusive": "yes"}, "exclusive: 'yes' is not true or false"),
        ({"held": 1}, "held: 1 is not true or false"),
        ({"sbatch": {"qos": ["a"]}}, "sbatch.qos: ['a'] is not a text or a whole number or true or false"),
        ({"sbatch": {"qos": True}}, "sbatch.qos: True is not a value that sbatch takes"),
        ({"sbatch": {"requeue": False}}, "sbatch.requeue: False is not true: the option takes no value"),
        ({"sbatch": {"comment": "a\nb"}}, "sbatch.comment: 'a\\nb' is not free of control characters"),
        ({"sbatch": {"--qos": "a"}}, "sbatch.--qos: '--qos: a' is not a long option"),
        ({"sbatch": {"qos\n": "a"}}, "sbatch: "),
        ({"sbatch": {1: "a"}}, "sbatch: 1 is not "),
        ({"overlay_mb": -1}, "overlay_mb: -1 is not 0 or more"),
        ({"overlay_mb": 1}, "overlay_mb: 1 is not 0, or 64 or more"),
        ({"overlay_mb": 63}, "overlay_mb: 63 is not 0, or 64 or more"),
        (
            {"overlay_mb": 255, "mpi": True, "cores": 4},
            "overlay_mb: 255 is not 0, or 64 or more for each of a node's 4 ranks",
        ),
        ({"mounts": [{}]}, "mounts.0.source is missing"),
        ({"mounts": ["/a"]}, "mounts.0: '/a' is not a mapping such as"),
        ({"mounts": [{"source": "a"}]}, "mounts.0.source: 'a' is not an absolute path without"),
        ({"mounts": [{"source": "/a:b"}]}, "mounts.0.source: '/a:b' is not an absolute path without"),
        ({"mounts": [{"source": "/a,b"}]}, "mounts.0.source: '/a,b' is not an absolute path without"),
        ({"mounts": [{"source": "/a", "target": "b"}]}, "mounts.0.target: 'b' is not an absolute path"),
        ({"mounts": [{"source": "/a", "target": "/b:ro"}]}, "mounts.0.target: '/b:ro' is not an absolute"),
        ({"mounts": [{"source": "/a\n"}]}, "mounts.0.source: '/a\\n' is not an absolute path"),
        ({"working_dir": "x"}, "working_dir: 'x' is not an absolute path"),
        ({"working_dir": "/x\n"}, "working_dir: '/x\\n' is not an absolute path"),
        ({"mpi": "PMIx"}, "mpi: 'PMIx' is not true, false, or a type of srun --mpi such as pmix"),
        ({"mpi": 1}, "mpi: 1 is not true, false, or a type of srun --mpi such as pmix"),
        ({"mpi": ""}, "mpi: '' is not true, false"),
        ({"ranks_per_node": 2}, "ranks_per_node: is not of use without mpi"),
        ({"ranks_per_node": 2, "mpi": False}, "ranks_per_node: is not of use without mpi"),
        ({"ranks_per_node": 3, "mpi": True, "cores": 2}, "ranks_per_node: 3 is not within the 2 cores of"),
        ({"ranks_per_node": 0, "mpi": True}, "ranks_per_node: 0 is not 1 or more"),
        ({"credentials": ""}, "credentials: is not the name of a login in "),
        ({"credentials": {"password": "hunter2"}}, "credentials: is not the name of a login in "),
        ({"nodes": 2.0}, "nodes: 2.0 is not a whole number"),
        ({"environment": {"X": 1e300}}, "environment.X: 1e+300 is not a whole number"),
        ({"environment": {"X": 2.0}}, "environment.X: 2.0 is not a whole number, or a text in quotes"),
        ({"environment": {"PREPEND_PATH": "/x"}}, "environment.PREPEND_PATH: is not a variable that"),
        ({"sbatch": {"requeue": "yes"}}, "sbatch.requeue: 'yes' is not true: the option takes no value"),
        ({"mpi": "no"}, "mpi: 'no' is not true, false, or a type of srun --mpi"),
        ({"mpi": "on"}, "mpi: 'on' is not true, false, or a type of srun --mpi"),
        ({"sbatch": {"time": "1:00"}}, "sbatch.time: is not taken here: the field walltime says it"),
        ({"sbatch": {"hold": True}}, "sbatch.hold: is not taken here: the field held says it"),
        ({"image": "MyHost/app:1"}, "image: 'MyHost/app:1' is not an image such as"),
        ({"image": "docker://ubuntu"}, "image: 'docker://ubuntu' is not an image such as"),
        ({"command": "echo hi"}, "command: 'echo hi' is not a list such as [echo, hello]"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(fields: dict[str, Any], message: str) -> None:
    assert refused(**fields).startswith(message)


def test_the_sites_own_overlay_may_be_too_small() -> None:
    with pytest.raises(InvalidJob, match=r"^JARVICE_SINGULARITY_OVERLAY_SIZE: 10 is not 0, or 64 or more"):
        read(Settings(singularity_overlay_size=10))
    assert read(Settings(singularity_overlay_size=10), overlay_mb=64).overlay_mb == 64


@pytest.mark.parametrize("option", [*RESERVED_OPTIONS, "job-nam", "job", "outp", "wra", "o"])
def test_an_option_that_the_downstream_needs_cannot_be_set_also_by_its_beginning(option: str) -> None:
    assert "the downstream sets this option itself" in refused(sbatch={option: "x"})


@pytest.mark.parametrize(
    "image",
    [
        "ubuntu",
        "ubuntu:22.04",
        "library/ubuntu",
        "localhost/app",
        "localhost:5000/app",
        "registry.example.com/a/b_c/d-e.f:1.2_3-4",
        "registry.example.com:5000/app:1",
        f"registry.example.com/app@sha256:{'0' * 64}",
        f"registry.example.com/app:1@sha256:{'0' * 64}",
        "/images/app.sif",
        "/images/an app's $(x).sif",
    ],
)
def test_images(image: str) -> None:
    assert container(read(image=image)).image == Image(image)


@pytest.mark.parametrize(
    "image",
    [
        *("", "/", " ", "a b", "-a", "../a", "./a.sif", "a\n", "/a\n", "/a\0", "a$(x)", "a'b", "a@b", "a\\b"),
        *("docker://ubuntu", "oras://r/a", "a:b:c", "a:b/c", "a//b", "A/B", "r.io/a+b", "a/../b", "a:"),
        *("a@sha256:0", f"a@sha256:{'0' * 63}", f"a@sha256:{'A' * 64}", f"a@md5:{'0' * 32}"),
        *(5, ["ubuntu"]),
    ],
)  # fmt: skip
def test_what_is_no_image(image: object) -> None:
    assert refused(image=image).startswith("image: ")


@pytest.mark.parametrize("wrong", ["\0", "\ud800"])
@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("name", lambda text: f"a{text}"),
        ("user", lambda text: f"a{text}"),
        ("image", lambda text: f"a{text}"),
        ("image", lambda text: f"/a{text}"),
        ("credentials", str),
        ("command", lambda text: ["a", f"b{text}\n"]),
        ("script", lambda text: f"#!/bin/sh\n{text}"),
        ("environment", lambda text: {"A": text}),
        ("environment", lambda text: {f"A{text}": "b"}),
        ("architecture", lambda text: f"a{text}"),
        ("walltime", lambda text: f"01:00:00{text}"),
        ("licenses", lambda text: f"a{text}"),
        ("partition", lambda text: f"a{text}"),
        ("sbatch", lambda text: {"comment": text}),
        ("sbatch", lambda text: {f"a{text}": "b"}),
        ("mounts", lambda text: [{"source": f"/a{text}"}]),
        ("mounts", lambda text: [{"source": "/a", "target": f"/b{text}"}]),
        ("working_dir", lambda text: f"/a{text}"),
        ("mpi", lambda text: f"a{text}"),
        ("x", str),
    ],
)
def test_no_text_that_cannot_be_sent(field: str, make: Callable[[str], Any], wrong: str) -> None:
    with pytest.raises(InvalidJob) as fault:
        read(**{field: make(wrong)})
    assert fault.value.message.startswith(field)
    fault.value.message.encode("utf-8")


@pytest.mark.parametrize("document", [None, [], "text", 5, True, [MINIMAL]])
def test_a_spec_that_is_no_object_is_refused(document: Any) -> None:
    with pytest.raises(InvalidJob, match=r"^the job: "):
        intake.read_spec(document, Settings(), NO_LOGINS)


FIELDS = list(schema("job")["properties"])
TEXTS = (
    st.text()
    | ANY_TEXT.map(lambda text: f"/{text}")
    | st.sampled_from(
        ["pmix", "01:00:00", "always", "source", "target", "read_only", "qos", "A", "ubuntu", "HOME"]
    )
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 100)
    | st.floats()
    | TEXTS
    | st.dates()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.integers() | st.none() | st.booleans(), inner, max_size=3)
    ),
    max_leaves=8,
)
"""What JSON and YAML can hold."""


@given(VALUES | st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=5), st.booleans())
@example({"mounts": [{"source": "/\ud800"}]}, True)
@example({"nodes": float("inf")}, True)
@example({"nodes": float("nan")}, True)
@example({"environment": {None: "a"}}, True)
def test_any_document_is_a_job_or_is_refused(document: Any, filled: bool) -> None:
    """What is a job can be rendered: nothing that is wrong with it shows up later."""
    if filled and isinstance(document, dict):
        document = {**MINIMAL, **document}
    preparer = Preparer(Settings())
    try:
        job = preparer.check_spec(document)
    except InvalidJob as fault:
        fault.message.encode("utf-8")
        return
    preparer.render(job).text.encode("utf-8")
