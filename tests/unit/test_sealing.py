"""Registry logins stay out of batch scripts and reach the node all the same; whole scripts are run for it."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from shutil import rmtree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.intake.script import fill
from pipeline.job import Credentials, Image, Job, Mount
from pipeline.render import BatchScript, Renderer
from pipeline.render.context import parameters
from pipeline.render.sealing import Seal
from pipeline.render.shell_environment import ShellText, shell_environment
from pipeline.settings import Settings
from pipeline.transport import Completed
from tests.harness.bash import Sandbox
from tests.harness.jobs import job, native_job, script_of
from tests.harness.text import HOSTILE_TEXT

ALONE, INSIDE = Renderer(Settings()), Renderer(Settings(), secrets_inside=True)
GONE = b"The registry logins of this job are gone: they were for its first run. Submit it under a new name.\n"

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n")) | st.text(
    st.sampled_from(list("|&\\/<>SECRET12-.$`'\"{}s g\r\t"))
)
MARKS = st.lists(
    st.sampled_from(["<SECRET1>", "<SECRET2>", "<SECRET1", "1>", "-1>", ".1>", "x1>", "<CR>", "\r"])
).map("".join)
"""What looks like a mark, or becomes one next to another."""


class Open(Seal):
    """Hides nothing; base64 is quoted, as its mark would be."""

    def hide(self, secret: str) -> str:
        return ShellText(f"'{secret}'") if secret else ""


def doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def with_field(text: str) -> str:
    return f"{text}\n{{DOWNSTREAM_PARAMETERS}}"


DOCKER_SECRETS = st.builds(
    lambda password, ascii_only: json.dumps({"password": f"hunter2{password}"}, ensure_ascii=ascii_only),
    LINE,
    st.booleans(),
).flatmap(lambda text: st.sampled_from([text, doubled(text)]))

SECRET_LINES = LINE.map(lambda line: f"JOBOBJ_CTRSECRET=hunter2{doubled(line)}") | DOCKER_SECRETS.map(
    "JOBOBJ_DOCKER_SECRET={}".format
)
OTHER_LINES = HOSTILE_TEXT.map(doubled) | MARKS | st.just("{DOWNSTREAM_PARAMETERS}")
SCRIPTS = st.builds(
    lambda lines, line_end: with_field(line_end.join(lines)),
    st.lists(SECRET_LINES | OTHER_LINES, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """Its srun keeps what the tasks would find."""
    node = Sandbox(tmp_path_factory.mktemp("node"))
    node.environment.update(SLURM_JOB_ID="7", SLURM_JOB_NAME="jarvice_x")
    node.command("squeue", "exit 0")
    node.command("srun", 'cp "${@: -1}/job.sh" "$HOME"; ls "${@: -1}" >"$HOME/files"; exit 5')
    return node


def sent(node: Sandbox, batch: BatchScript) -> Path:
    """Do what a submission does before sbatch; gives the control folder."""
    control = node.home / batch.files.control
    rmtree(node.home / ".jarvice", ignore_errors=True)
    control.mkdir(parents=True)
    if batch.secrets_file:
        (control / "secrets").write_bytes(batch.secrets_file.encode("utf-8"))
    return control


def started(node: Sandbox, batch: BatchScript) -> Completed:
    """What comes of a job that Slurm starts, or starts again."""
    runs = int(node.environment.get("SLURM_RESTART_COUNT", -1))
    node.environment["SLURM_RESTART_COUNT"] = str(runs + 1)
    return node.run("bash -s", batch.text.encode("utf-8"))


def unsealed(job: Job) -> bytes:
    """The upstream's script as it would be if nothing was ever hidden."""
    work = script_of(job)
    variables = parameters(job, work, Settings(), Open(""))
    template = shell_environment(None).get_template("singularity/parameters.sh.j2")
    return fill(work.text, template.render(parameters=variables)).encode("utf-8")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SCRIPTS, LINE, st.sampled_from([ALONE, INSIDE]))
@example(with_field("JOBOBJ_CTRSECRET=hunter2<SECRET2>\nJOBOBJ_DOCKER_SECRET=hunter2"), "<SECRET1>", ALONE)
@example(with_field("JOBOBJ_CTRSECRET=hunter2\n<SECRET1><SECRET1-1><SECRET1x1><SECRET1.1>"), "", ALONE)
@example(with_field("JOBOBJ_CTRSECRET=hunter2|&\\\\n\\1\\&\\|\r\necho\r\n"), "|&\\", ALONE)
@example(with_field("JOBOBJ_CTRSECRET=hunter2\nJOBOBJ_CTRSECRET=hunter2\n"), "", INSIDE)
@example(with_field("JOBOBJ_CTRSECRET=hunter2\n<CR>\r\n"), "", INSIDE)
@example(with_field("JOBOBJ_CTRSECRET=hunter2\rx\nEND_OF_SECRETS\n"), "", INSIDE)
def test_a_script_with_secrets_arrives_byte_for_byte(
    node: Sandbox, text: str, password: str, renderer: Renderer
) -> None:
    login = Credentials("u", f"hunter2{password}")
    hostile = job(text=text, app_image=Image("registry.example.com/app:1", login))
    batch = renderer.batch_script(hostile)
    assert "\r\n" not in batch.text
    if renderer is ALONE:
        assert not any(
            known in batch.text
            for known in ("=hunter2", '"hunter2', b64encode(login.password.encode()).decode())
        )
    sent(node, batch)
    reply = started(node, batch)
    assert (reply.exit_code, reply.stdout, reply.stderr) == (5, b"", b"")
    assert node.home.joinpath("job.sh").read_bytes() == unsealed(hostile)
    assert node.home.joinpath("files").read_text().split() == ["job.sh", "started", "task.sh"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("spelling", [str, doubled])
def test_the_secret_in_either_spelling_is_the_same_in_the_script(
    node: Sandbox, spelling: type[str], line_end: str
) -> None:
    secret = '{"server": "r", "username": "u", "password": "hunter2{}"}'
    text = line_end.join(["#!/bin/bash", f"JOBOBJ_DOCKER_SECRET={spelling(secret)}", "echo", ""])
    batch = ALONE.batch_script(job(text=text))
    assert "hunter2" not in batch.text
    assert "hunter2" in batch.secrets_file
    sent(node, batch)
    started(node, batch)
    wanted = line_end.join(["#!/bin/bash", f"JOBOBJ_DOCKER_SECRET={secret}", "echo", ""])
    assert node.home.joinpath("job.sh").read_bytes() == wanted.encode()


SECRET_JOB = job(text="JOBOBJ_CTRSECRET=hunter2\n{DOWNSTREAM_PARAMETERS}\n")


def test_a_job_without_secrets_needs_no_file_of_them() -> None:
    assert ALONE.batch_script(job()).secrets_file == ""


def test_only_the_owner_reads_secrets_that_came_in_the_script(node: Sandbox) -> None:
    batch = INSIDE.batch_script(SECRET_JOB)
    sent(node, batch)
    sed = node.bin / "sed"
    node.command("sed", f'stat --format=%a .jarvice/control/*/secrets >>"$HOME/modes"; {sed}.real "$@"')
    sed.with_suffix(".real").symlink_to("/bin/sed")
    try:
        node.run("umask 000; bash -s", batch.text.encode("utf-8"))
    finally:
        sed.unlink()
    assert node.home.joinpath("modes").read_text().split() == ["600"]


@pytest.mark.parametrize("renderer", [ALONE, INSIDE], ids=["alone", "inside"])
@pytest.mark.parametrize("how", ["KILL", "TERM"])
def test_a_job_that_is_started_again_finds_the_script_as_it_was(
    node: Sandbox, renderer: Renderer, how: str
) -> None:
    """The node died, and nobody cleaned up; or Slurm put the job back into the queue."""
    batch = renderer.batch_script(SECRET_JOB)
    control = sent(node, batch)
    node.command("srun", f"kill -{how} $PPID")
    try:
        assert started(node, batch).exit_code != 0
    finally:
        node.command("srun", 'cp "${@: -1}/job.sh" "$HOME"; ls "${@: -1}" >"$HOME/files"; exit 5')
    if how == "KILL" or renderer is ALONE:
        assert (control / "job.sh").read_bytes() == unsealed(SECRET_JOB)
    else:
        assert not (control / "job.sh").exists(), "the batch script brings the logins again"
    assert not (control / "secrets").exists()
    node.home.joinpath("job.sh").unlink(missing_ok=True)
    assert started(node, batch).exit_code == 5
    assert node.home.joinpath("job.sh").read_bytes() == unsealed(SECRET_JOB)


def test_a_script_that_was_cut_short_is_not_run_when_the_job_is_started_again(node: Sandbox) -> None:
    """No space is left, for one."""
    batch = ALONE.batch_script(SECRET_JOB)
    control = sent(node, batch)
    node.command("sed", "head --bytes=10; exit 1")
    assert started(node, batch).exit_code == 1
    (node.bin / "sed").unlink()
    assert {file.name for file in control.iterdir()} == {"started"}
    reply = started(node, batch)
    assert (reply.exit_code, reply.stdout, reply.stderr) == (1, b"", GONE)


def test_a_job_that_is_started_again_after_its_end_says_that_its_logins_are_gone(node: Sandbox) -> None:
    batch = ALONE.batch_script(SECRET_JOB)
    control = sent(node, batch)
    assert started(node, batch).exit_code == 5
    assert not (control / "job.sh").exists()
    reply = started(node, batch)
    assert (reply.exit_code, reply.stdout, reply.stderr) == (1, b"", GONE)
    assert not (control / "job.sh").exists()


def test_with_its_secrets_inside_it_can_be_started_again_after_its_end(node: Sandbox) -> None:
    batch = INSIDE.batch_script(SECRET_JOB)
    sent(node, batch)
    assert [started(node, batch).exit_code for _ in range(2)] == [5, 5]
    assert node.home.joinpath("job.sh").read_bytes() == unsealed(SECRET_JOB)


@given(LINE, LINE, MARKS | LINE)
@example("<SECRET2>", "hunter2", "<SECRET1>")
@settings(max_examples=60)
def test_no_text_of_a_native_job_is_taken_for_a_mark(username: str, password: str, text: str) -> None:
    if not (username and password):
        return
    login = Credentials(username, password)
    batch = ALONE.batch_script(
        native_job(
            image=Image("registry.example.com/app:1", login),
            command=(text,),
            script=f"#!/bin/sh\n{text}\n",
            environment={"A": text},
            mounts=(Mount(f"/{text}", f"/{text}"),),
            working_dir=f"/{text}",
        )
    )
    for line in batch.secrets_file.split("\n")[:-1]:
        mark = line.split("|")[1]
        assert batch.text.count(mark) == (2 if username == password else 1)


def test_a_mark_in_a_setting_of_the_site_stays_as_it_is() -> None:
    """No login is put in where the site's own text only looks like a mark."""
    site = Settings(baremetal_no_proxy="<SECRET1>")
    batch = Renderer(site).batch_script(job(app_image=Image("ubuntu", Credentials("robot", "hunter2"))))
    assert "export SCNO_PROXY='<SECRET1>'" in batch.text
    assert batch.secrets_file.startswith("s|<SECRET1-1>|")
