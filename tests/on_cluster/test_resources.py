"""What a job asks for is what Slurm gives it, and nothing of it shows in another job."""

from __future__ import annotations

import re

import pytest

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.service import Service

NASTY = """it's "so": $(touch /tmp/ran) `touch /tmp/ran` #SBATCH --nice \\ \\n \\" ; & | <x> * ~ é 世"""

NO_ACCOUNT = "Invalid account or account/partition combination specified"


def test_slurm_says_of_a_held_job_what_was_asked_for(service: Service) -> None:
    devices = ["partition=gpu", "exclusive=False", f"sbatch_comment={NASTY}", "sbatch_requeue="]
    text = script(
        "sleep 300",
        devices=devices,
        JOBOBJ_WALLTIME="26:03:00",
        JOBOBJ_RAM=3,
        JOBOBJ_GPUS=1,
        JOBOBJ_LICENSES="feat:2,feat3:1",
        JARVICE_CPU_CORES=2,
    )
    job = service.submit(form(text, nodes=2, held=True, user="mario"))
    said = service.post("/events", job.ref).json()
    service.post("/terminate", job.ref)
    words = dict(word.split("=", 1) for word in said.split() if "=" in word)
    assert words["JobName"] == f"jarvice_{job.name}"
    assert words["UserId"].startswith("mario(")
    assert words["TimeLimit"] == "1-02:03:00"
    assert words["Partition"] == "gpu"
    assert words["NumNodes"] in ("2", "2-2")
    assert words["NumTasks"] == "4"
    assert words["MinMemoryNode"] == "3G"
    assert words["TresPerNode"] in ("gres/gpu:1", "gres:gpu:1")  # the latter until 22.05
    assert words["Licenses"] == "feat:2,feat3:1"
    assert words["OverSubscribe"] == "NO"
    assert words["Requeue"] == "1"
    assert re.findall(r"^ *Comment=(.*?) *$", said, re.MULTILINE) == [NASTY]


def test_nothing_of_one_job_shows_in_anothers_script(service: Service) -> None:
    plain = form(script("echo", JOBOBJ_LICENSES=None), held=True)
    before = service.submit(plain)
    rich = service.submit(form(script(
        "echo", devices=["overlay=64", "partition=normal", "exclusive=True", "sbatch_nice=7"],
        JOBOBJ_LICENSES="feat:1", JOBOBJ_RAM=1,
    ), held=True))  # fmt: skip
    after = service.submit({**plain, "name": plain["name"].replace("-app-", "-appb-")})
    for directive in ("--partition=normal", "--exclusive", "--nice=7", "--licenses=feat:1", "--mem=1G"):
        assert f"#SBATCH {directive}\n" in rich.script
        assert directive not in before.script + after.script
    assert "JARVICE_SINGULARITY_OVERLAY_SIZE=64\n" in rich.script
    assert "JARVICE_SINGULARITY_OVERLAY_SIZE=600\n" in before.script
    assert after.script.replace("-appb-", "-app-") == before.script
    for job in (before, rich, after):
        service.post("/terminate", job.ref)


@pytest.mark.parametrize(
    ("device", "status", "words", "words_of_http"),
    [
        ("sbatch_account=nosuch", 403, NO_ACCOUNT, NO_ACCOUNT),
        ("sbatch_account=pc", 403, NO_ACCOUNT, NO_ACCOUNT),
        ("partition=nosuch", 400, "invalid partition specified: nosuch", "Invalid partition name specified"),
        ("sbatch_nosuch=1", 400, "unrecognized option '--nosuch=1'", "has no field for sbatch's --nosuch"),
    ],
    ids=["no such account", "another's account", "no such partition", "no such option"],
)
def test_a_refusal_is_told_in_slurms_words_and_leaves_nothing(
    device: str,
    status: int,
    words: str,
    words_of_http: str,
    service: Service,
    interface: Interface,
    cluster: Cluster,
) -> None:
    wrong = form(script("echo well", devices=["exclusive=False", device]))
    reply = service.post("/submit", wrong)
    assert reply.status_code == status, reply.text
    assert (words if interface.name == "cli" else words_of_http) in reply.json()["error"]
    assert not interface.files("kirby", wrong["name"])
    assert not cluster.jobs(wrong["name"])
    mended = service.submit({**form(script("echo well")), "name": wrong["name"]})
    assert service.exit_of(mended).code == 0
