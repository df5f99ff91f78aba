"""Images that native jobs keep: when one is pulled again, one pull for many, whose cache it is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from pipeline.render import BatchScript
from pipeline.transport import Completed
from tests.harness.container_node import DIGEST, RUNTIME
from tests.harness.pulling_site import LOGIN, OTHER_DIGEST, Site, answer, has, refused
from tests.harness.waiting import eventually

NOBODYS = 65534
"""An id of a user that is not root, who could write everywhere."""


def test_an_image_is_pulled_again_when_its_tag_has_another_digest(site: Site) -> None:
    site.registry.reactions = [has(), has(), has(OTHER_DIGEST), has(OTHER_DIGEST)]
    assert [site.pull(name=name).exit_code for name in ("a", "b", "c", "d")] == [0, 0, 0, 0]
    assert site.pulls() == 2
    assert site.image().exists()
    assert (site.node.arguments("exec") or [])[-2] == str(site.image(OTHER_DIGEST))


def test_a_missing_image_is_pulled_and_one_that_is_there_is_not_asked_for(site: Site) -> None:
    site.registry.reactions = [has()]
    assert [site.pull(name=name, pull="missing").exit_code for name in ("a", "b")] == [0, 0]
    assert (site.pulls(), len(site.registry.requests)) == (1, 1)
    site.image().unlink()
    site.registry.reactions = [has(OTHER_DIGEST)]
    assert site.pull(name="c", pull="missing").exit_code == 0
    assert (site.node.arguments("exec") or [])[-2] == str(site.image(OTHER_DIGEST))


def test_an_image_with_its_digest_is_not_asked_for(site: Site) -> None:
    pinned = site.reference.replace(":1", f"@{DIGEST}")
    replies = [
        site.pull(name=name, reference=pinned, pull=pull)
        for name, pull in [("a", "always"), ("b", "missing")]
    ]
    assert [(reply.exit_code, reply.stderr) for reply in replies] == [(0, b""), (0, b"")]
    assert (site.pulls(), site.registry.requests) == (1, [])


def test_a_job_that_is_started_again_keeps_its_image(site: Site) -> None:
    """Neither the registry nor the login is needed."""
    batch = site.batch(LOGIN)
    site.registry.reactions = [has()]
    site.node.sent(batch)
    assert [site.node.started(batch).exit_code for _ in range(2)] == [0, 0]
    assert (site.pulls(), len(site.registry.requests)) == (1, 1)


@contextmanager
def begun(site: Site, batch: BatchScript) -> Iterator[subprocess.Popen[bytes]]:
    """A batch script that runs on; killed at the end, with all that it began."""
    site.node.is_next_run()
    process = subprocess.Popen(
        ["bash", "-s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=site.node.home,
        env=site.node.environment,
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(batch.text.encode())
    process.stdin.close()
    process.stdin = None
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def pulls_until_told(site: Site) -> None:
    """Let a pull wait for a line in the file ``go``."""
    os.mkfifo(site.node.home / "go")
    site.node.command(
        "apptainer",
        'case $2 in pull) echo part >"${@: -2:1}"; : >"$HOME/pulling"; read -r <"$HOME/go" ;; esac',
    )


def test_a_pull_that_was_killed_leaves_nothing_in_the_way(site: Site) -> None:
    site.registry.reactions = [has(), has()]
    pulls_until_told(site)
    with begun(site, site.batch()):
        eventually((site.node.home / "pulling").exists, what="the pull", pause=0.02)
    assert list(site.cache.glob("*.partial"))
    site.node.command("apptainer", RUNTIME)
    assert site.pull(name="two").exit_code == 0
    assert not list(site.cache.glob("*.partial"))
    assert site.image().exists()


def test_a_pull_that_was_ended_leaves_nothing_and_the_job_says_that_its_login_is_gone(site: Site) -> None:
    """Slurm ends a job, and starts it again: `scontrol requeue`, preemption."""
    asks = answer(401, www_authenticate='Basic realm="r"')
    site.registry.reactions = [asks, has(), asks]
    pulls_until_told(site)
    batch = site.batch(LOGIN)
    site.node.sent(batch)
    with begun(site, batch) as process:
        eventually((site.node.home / "pulling").exists, what="the pull", pause=0.02)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=20)
    assert not list(site.cache.glob("*.partial"))
    reply = site.node.started(batch)
    gone = "unauthorised; its login was for the job's first start. Submit it under a new name."
    assert (reply.exit_code, reply.stderr.decode()) == (
        1, f"The image {site.reference} cannot be pulled: {gone}\n"
    )  # fmt: skip


def test_a_job_that_ends_leaves_what_another_pulls_alone(site: Site) -> None:
    """The image was removed meanwhile."""
    site.registry.reactions = [has()]
    partial = Path(f"{site.image()}.partial")
    site.node.command("srun", f": >{partial}")
    site.pull()
    assert partial.exists()


def test_of_two_jobs_at_once_one_pulls(site: Site) -> None:
    site.registry.reactions = [has(), has()]
    pulls_until_told(site)
    with begun(site, site.batch(name="one")) as first:
        eventually((site.node.home / "pulling").exists, what="the pull", pause=0.02)
        with begun(site, site.batch(name="two")) as second:
            assert second.stdout
            assert second.stdout.readline().startswith(b"waiting for another job that pulls into ")
            (site.node.home / "go").write_text("\n")
            said, _ = second.communicate(timeout=20)
            first.communicate(timeout=20)
            assert (first.returncode, second.returncode, said) == (0, 0, b"")
    assert site.pulls() == 1


def shared_by(site: Site) -> Path:
    folder = site.node.home / "shared" / ".jarvice" / "images"
    folder.mkdir(parents=True)
    return folder


def from_shared(site: Site, name: str) -> Completed:
    return site.pull(name=name, image_in_global_registries=True, shared=f"{site.node.home}/shared/")


def test_images_of_global_registries_are_kept_for_all(site: Site) -> None:
    shared = shared_by(site)
    site.registry.reactions = [has(), has()]
    assert from_shared(site, "one").exit_code == 0
    kept = shared / site.image().name
    assert kept.stat().st_mode & 0o444 == 0o444
    assert not list(site.cache.iterdir())
    site.node.environment["USER"] = "mario"
    assert from_shared(site, "two").exit_code == 0
    assert site.pulls() == 1
    assert (site.node.arguments("exec") or [])[-2] == str(kept)


def test_without_the_shared_folder_images_are_the_users_own(site: Site) -> None:
    site.registry.reactions = [has()]
    assert from_shared(site, "one").exit_code == 0
    assert site.image().exists()


def test_other_images_are_not_kept_for_all(site: Site) -> None:
    shared = shared_by(site)
    site.registry.reactions = [has()]
    assert site.pull(shared=f"{site.node.home}/shared/").exit_code == 0
    assert not list(shared.iterdir())
    assert site.image().exists()


def test_a_folder_of_images_that_is_somebody_elses_is_refused(site: Site) -> None:
    site.cache.parent.mkdir(parents=True)
    if os.geteuid() == 0:
        site.cache.mkdir()
        os.chown(site.cache, NOBODYS, NOBODYS)
    else:
        site.cache.symlink_to("/")
    site.registry.reactions = [has()]
    refused(site, site.pull(), f"cannot be kept: {site.cache} is not this user's.")
    assert site.registry.requests == []


def test_a_file_in_place_of_the_folder_of_images_is_refused(site: Site) -> None:
    site.cache.parent.mkdir(parents=True)
    site.cache.write_text("")
    reply = site.pull()
    last = f"The image {site.reference} cannot be kept: {site.cache} is not this user's."
    assert (reply.exit_code, reply.stderr.decode().splitlines()[-1]) == (1, last)


@pytest.fixture
def as_nobody() -> Iterator[Site]:
    """A site whose jobs are nobody's, in a folder that nobody can get at; root's are in pytest's."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        site = Site(folder)
        yield site
        site.registry.stop()
        site.tokens.stop()


def run_as_nobody(site: Site, name: str, **words: Any) -> Completed:
    shared = f"{site.node.home}/shared/"
    batch = site.batch(name=name, image_in_global_registries=True, shared=shared, **words)
    if os.geteuid() != 0:
        return site.node.started(batch)
    for path in (site.node.bin.parent, site.node.home, *site.node.bin.parent.glob("calls*")):
        os.chown(path, NOBODYS, NOBODYS)
    become = f"setpriv --reuid={NOBODYS} --regid={NOBODYS} --clear-groups"
    return site.node.run(f"{become} bash -s", batch.text.encode())


def test_with_a_shared_folder_that_one_may_only_read_images_are_ones_own(as_nobody: Site) -> None:
    shared = shared_by(as_nobody)
    shared.chmod(0o555)
    as_nobody.registry.reactions = [has(), has(OTHER_DIGEST)]
    reply = run_as_nobody(as_nobody, "one")
    assert (reply.exit_code, reply.stderr) == (0, b"")
    assert as_nobody.image().exists()
    shared.chmod(0o755)
    kept = shared / as_nobody.image(OTHER_DIGEST).name
    kept.write_text("an image")
    shared.chmod(0o555)
    reply = run_as_nobody(as_nobody, "two")
    assert (reply.exit_code, reply.stderr, as_nobody.pulls()) == (0, b"", 1)
    assert (as_nobody.node.arguments("exec") or [])[-2] == str(kept)
    assert [file.name for file in shared.iterdir()] == [kept.name]


def test_the_files_of_others_in_a_shared_folder_are_not_in_the_way(as_nobody: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can have files of others")
    shared = shared_by(as_nobody)
    shared.chmod(0o777)
    kept = as_nobody.image().name.partition("@")[0]
    (shared / f"{kept}.lock").touch(mode=0o644)
    (shared / f"{kept}:1").write_text(f"{OTHER_DIGEST}\n")
    as_nobody.registry.reactions = [has()]
    reply = run_as_nobody(as_nobody, "one")
    assert (reply.exit_code, reply.stderr) == (0, b"")
    assert (shared / as_nobody.image().name).exists()
    assert (shared / f"{kept}:1").read_text() == f"{DIGEST}\n", "what `pull: missing` goes by moves on"
    assert not list(shared.glob(f"{kept}:1.*"))


def test_a_note_of_others_that_cannot_be_replaced_is_not_what_pull_missing_goes_by(as_nobody: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can have files of others")
    shared = shared_by(as_nobody)
    kept = as_nobody.image().name.partition("@")[0]
    (shared / f"{kept}:1").write_text(f"{OTHER_DIGEST}\n")
    (shared / as_nobody.image(OTHER_DIGEST).name).write_text("an old image")
    shared.chmod(0o555)
    as_nobody.registry.reactions = [has()]
    assert run_as_nobody(as_nobody, "one").exit_code == 0
    assert run_as_nobody(as_nobody, "two", pull="missing").exit_code == 0
    assert (as_nobody.node.arguments("exec") or [])[-2] == str(as_nobody.image())
    assert len(as_nobody.registry.requests) == 1
