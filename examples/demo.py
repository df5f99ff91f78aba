"""``./run demo [slurm]``: one job as the upstream sees it, from submit to exit status."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

from tests.harness.cluster import Cluster, ClusterNotFit
from tests.harness.forms import job_name
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually

FORM = Path(__file__).parent / "upstream" / "hello.json"

_log = logging.getLogger("demo")


def main() -> int:
    """Run the demo; the exit code says whether the job went well."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    parser = argparse.ArgumentParser(prog="./run demo")
    parser.add_argument("where", nargs="?", choices=["local", "slurm"], default="local")
    where = parser.parse_args().where
    with tempfile.TemporaryDirectory(prefix="downstream-demo-") as scratch:
        try:
            settings = _settings(where, Path(scratch))
        except ClusterNotFit as reason:
            sys.exit(f"error: {reason}")
        service = Service(Path(scratch), settings).start()
        try:
            return _follow(service, where)
        finally:
            service.stop()


def _settings(where: str, folder: Path) -> dict[str, str]:
    if where == "local":
        return {"JARVICE_BAREMETAL_CONNECTOR": "local"}
    _log.info("starting the throwaway cluster (the first time it is built, which takes minutes)")
    cluster = Cluster.start("trixie")
    cluster.write_mapping(folder)
    return cluster.settings()


def _follow(service: Service, where: str) -> int:
    _log.info("the downstream listens on %s, connector: %s", service.url, where)
    form = json.loads(FORM.read_text(encoding="utf-8")) | {"name": job_name(app="hello")}
    job = service.submit(form)
    _log.info("POST /submit        %s -> job %s", FORM.name, job.job_id)
    state = ""
    while state != "ended":
        state = eventually(lambda last=state: _new_state(service, job, last), what="the next state")
        _log.info("%-19s %s", {"queued": "GET /queued", "running": "GET /running"}.get(state, ""), state)
    ended = service.exit_of(job)
    _log.info("POST /exitstatus    %s after %s, %s", ended.code, ended.elapsed, ended.termination)
    _log.info("the job's log:\n%s", ended.output.rstrip())
    return 0 if ended.code == 0 else 1


def _new_state(service: Service, job: Sent, last: str) -> str:
    """queued, running or ended; empty while it is the last one still."""
    state = "ended"
    if job.name in service.queued():
        state = "queued"
    elif job.name in service.running():
        state = "running"
    return state if state != last else ""


if __name__ == "__main__":
    sys.exit(main())
