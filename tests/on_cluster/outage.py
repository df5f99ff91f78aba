"""Daemons that go away, and jobs that wait until a test lets them go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.cluster import Cluster
from tests.harness.forms import script
from tests.harness.interface import Interface
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually


@contextmanager
def away(cluster: Cluster, daemon: str, how: str = "stop") -> Iterator[None]:
    """A daemon of the head is stopped or killed, and started again in any case."""
    if (daemon, how) == ("slurmctld", "stop"):
        _has_told_accounting(cluster)
    cluster.daemon(daemon, how)
    try:
        yield
    finally:
        cluster.daemon(daemon, "start")


@contextmanager
def forgetful(cluster: Cluster) -> Iterator[None]:
    """slurmctld forgets jobs soon after their end."""
    conf = Path(cluster.info["slurm_conf"])
    text = conf.read_text(encoding="utf-8")
    lines = ["MinJobAge=2" if line.startswith("MinJobAge=") else line for line in text.splitlines()]
    conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        restart_slurmctld(cluster)
        yield
    finally:
        conf.write_text(text, encoding="utf-8")
        restart_slurmctld(cluster)


def restart_slurmctld(cluster: Cluster) -> None:
    """It is stopped, and started at once."""
    _has_told_accounting(cluster)
    cluster.daemon("slurmctld", "restart")


def _has_told_accounting(cluster: Cluster) -> None:
    """Return when slurmctld has told slurmdbd everything: 24.11's can crash at its start over the rest."""
    eventually(lambda: "DBD Agent queue size: 0\n" in cluster.run("sdiag"), what="an empty queue", pause=0.5)


def well(service: Service) -> bool:
    """Whether the service answers all of its questions about the whole cluster."""
    return all(service.get(path).ok for path in ("/running", "/queued", "/gc"))


def until_told(then: str) -> str:
    """A script that goes on when its control folder has a file ``go``."""
    return script(f'echo begun; until [ -e "${{0%/*}}/go" ]; do sleep 0.1; done; {then}')


def tell(interface: Interface, job: Sent, user: str = "kirby") -> None:
    """Let that script go on, once there is its control folder: a running job may not have it yet."""
    control = interface.control(job.name, user)
    go = f"[ -d {control} ] && touch {control}/go && echo told || true"
    eventually(lambda: interface.cluster.run("bash", "-c", go).strip(), what=f"the folder {control}")


def ended_in_slurm(cluster: Cluster, job: Sent) -> None:
    """Return when slurmctld has nothing more to do for the job."""
    state = ("squeue", "--noheader", "--states=all", "--format=%T", f"--name=jarvice_{job.name}")
    over = {"COMPLETED", "FAILED", "CANCELLED", ""}
    eventually(lambda: cluster.run(*state).strip() in over, what=f"the end of {job.name}")
