"""A batch script lets a name run once, and its tasks too: real bash runs it, with a squeue and an srun."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.render import BatchScript, Renderer
from pipeline.settings import Settings
from pipeline.transport import Completed
from tests.harness.bash import Sandbox
from tests.harness.jobs import job

AWAY = "squeue: error: Unable to contact slurm controller (connect failure)"
RUNS = 'SLURM_PROCID=0 exec "${@: -3}"'
FAILS_AT_ONCE = "echo 'srun: error: Unable to confirm allocation' >&2; exit 1"


@pytest.fixture
def node(tmp_path: Path) -> Sandbox:
    """A node on which Slurm has started job 7."""
    node = Sandbox(tmp_path)
    node.environment.update(SLURM_JOB_ID="7", SLURM_JOB_NAME="jarvice_x", SLURM_JOB_NODELIST="n1")
    node.command("scontrol", "echo n1")
    node.command("squeue", "exit 0")
    node.command("srun", RUNS)
    # Nobody waits for a slurmctld of a test.
    node.command("sleep", "exit 0")
    return node


def batch(text: str = "#!/bin/bash\n{DOWNSTREAM_PARAMETERS}\necho ran >>ran\n") -> BatchScript:
    return Renderer(Settings()).batch_script(job(text=text))


def start(node: Sandbox, run: int = 0) -> Completed:
    """Start the batch script as Slurm does; ``run`` is how often the job was requeued."""
    node.environment.pop("SLURM_RESTART_COUNT", None)
    if run:
        node.environment["SLURM_RESTART_COUNT"] = str(run)
    return node.run("bash", batch().text.encode())


def ran(node: Sandbox) -> int:
    file = node.home / "ran"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize("others", ["", "7", "8\n7\n12", "no number\n7", "-1"])
def test_the_first_job_of_a_name_runs(node: Sandbox, others: str) -> None:
    node.command("squeue", f"printf '%s\\n' '{others}'")
    assert start(node).exit_code == 0
    assert ran(node) == 1


@pytest.mark.parametrize(
    ("others", "first"), [([6], 6), ([7, 6], 6), ([8, 6, 7], 6), ([6, 3], 3), ([3, 6], 3)]
)
def test_a_later_job_of_a_name_ends_whichever_slurm_starts_first(
    node: Sandbox, others: list[int], first: int
) -> None:
    node.command("squeue", "\n".join(f"echo {other}" for other in others))
    ended = start(node)
    assert ended.exit_code == 1
    assert f"that of job {first}, which was submitted before; job 7 ends" in ended.complaint()
    assert (ran(node), node.calls("srun")) == (0, [])
    assert not list(node.home.rglob("started")), "the first one finds the name free"


def test_it_asks_for_the_jobs_of_this_user_and_name_that_have_not_ended(node: Sandbox) -> None:
    start(node)
    asked = node.calls("squeue")
    assert asked == ["squeue --noheader --all --me --name=jarvice_x --format=%A"]


def test_while_slurmctld_does_not_answer_the_job_that_was_started_first_has_the_name(node: Sandbox) -> None:
    node.command("squeue", f"echo '{AWAY}' >&2; exit 1")
    assert start(node).exit_code == 0
    node.environment["SLURM_JOB_ID"] = "9"
    ended = start(node)
    assert "started as job 7 already; job 9 ends" in ended.complaint()
    assert ran(node) == 1


def test_a_requeued_job_runs_again(node: Sandbox) -> None:
    assert [start(node, run).exit_code for run in range(3)] == [0, 0, 0]
    assert ran(node) == 3


@pytest.mark.parametrize(("code", "run"), [(0, 0), (4, 0), (4, 2)])
def test_a_run_that_slurm_has_lost_is_not_run_again_and_ends_as_it_did(
    node: Sandbox, code: int, run: int
) -> None:
    """slurmctld was killed before it had saved that the job was started; afterwards it starts it anew."""
    node.command("srun", f'SLURM_PROCID=0 "${{@: -3}}"; echo "7 {code} 1 2" >"${{@: -1}}/exit"')
    assert start(node, run).exit_code == code
    again = start(node, run)
    assert (again.exit_code, ran(node)) == (code, 1)
    assert "it is not run again" in again.complaint()


def test_a_run_that_slurm_has_lost_while_it_runs_is_not_run_again(node: Sandbox) -> None:
    start(node)
    [record] = node.home.rglob("exit")
    record.unlink()
    assert (start(node).exit_code, ran(node)) == (1, 1)


@pytest.mark.parametrize("kept", ["", "7", "1"])
def test_a_mark_without_a_whole_id_keeps_nobody_from_running(node: Sandbox, kept: str) -> None:
    """As after a full file system, or on one that had not kept the id yet when the node went down."""
    start(node)
    [mark] = node.home.rglob("started")
    mark.write_text(kept)
    assert start(node).exit_code == 0
    assert (ran(node), mark.read_text()) == (2, "7 0\n")


def test_a_mark_that_cannot_be_written_runs_nothing(node: Sandbox) -> None:
    start(node)
    [mark] = node.home.rglob("started")
    mark.unlink()
    mark.mkdir()
    assert start(node).exit_code == 1
    assert ran(node) == 1


def test_a_link_in_the_folders_place_runs_nothing(node: Sandbox) -> None:
    """Where users share a scratch folder another may have made it: nothing is written where it leads."""
    (node.home / "mine").mkdir()
    control = node.home / batch().files.control
    control.parent.mkdir(parents=True)
    control.symlink_to(node.home / "mine")
    done = start(node)
    assert (done.exit_code, ran(node), list((node.home / "mine").iterdir())) == (1, 0, [])
    assert b"Another user has a job of this name" in done.stderr


def test_srun_is_tried_again_where_it_gave_up_before_a_task_began(node: Sandbox) -> None:
    """slurmctld is away while the job starts, and comes back."""
    node.command("srun", f'[ -e "$CALLS.tried" ] || {{ : >"$CALLS.tried"; {FAILS_AT_ONCE}; }}; {RUNS}')
    node.command(
        "squeue",
        f'[ "$(grep --count "squeue.*--jobs=7" "$CALLS")" -gt 3 ] || {{ echo "{AWAY}" >&2; exit 1; }}',
    )
    assert start(node).exit_code == 0
    assert (ran(node), len(node.calls("srun"))) == (1, 2)
    assert node.calls("sleep").count("sleep 5") == 3


def test_an_srun_that_fails_for_another_reason_is_not_tried_for_ever(node: Sandbox) -> None:
    node.command("srun", "echo 'srun: error: Invalid MPI plugin name' >&2; exit 3")
    assert start(node).exit_code == 3
    assert len(node.calls("srun")) == 2


@pytest.mark.parametrize("code", [1, 137])
def test_an_srun_whose_task_has_begun_is_never_tried_again(node: Sandbox, code: int) -> None:
    node.command("srun", f'SLURM_PROCID=0 "${{@: -3}}"; rm -f "${{@: -1}}/exit"; exit {code}')
    assert start(node).exit_code == code
    assert (ran(node), len(node.calls("srun"))) == (1, 1)


@pytest.mark.parametrize("left", ["begun", "exit", "output"])
def test_a_task_of_a_site_that_leaves_one_of_its_marks_is_not_started_again(node: Sandbox, left: str) -> None:
    """A site's own task.sh may know the older ones only; a folder's name may look like a pattern."""
    scratch = f"{node.home}/scratch[1]/"
    batch = Renderer(Settings(job_scratch_dir=scratch)).batch_script(job())
    node.command("srun", f'cd "${{@: -1}}" && : >{left} && pwd >"$CALLS.control"; exit 9')
    node.run("bash", batch.text.encode())
    assert Path(f"{node.environment['CALLS']}.control").read_text().startswith(scratch)
    assert len(node.calls("srun")) == 1


def test_a_task_that_cannot_say_that_it_has_begun_does_not_begin(node: Sandbox) -> None:
    """As on a full file system: srun would be tried again, and the task would run twice."""
    node.command("srun", f'mkdir "${{@: -1}}/begun"; {RUNS}')
    assert start(node).exit_code == 1
    assert ran(node) == 0


def test_a_requeued_job_has_its_second_try_again(node: Sandbox) -> None:
    start(node)
    node.command("srun", FAILS_AT_ONCE)
    start(node, run=1)
    assert len(node.calls("srun")) == 3
