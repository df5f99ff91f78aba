"""No secret shows in a log line, a reply or an error, nor to other users of the cluster."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import jwt
from requests import Response

from tests.harness.cluster import Cluster
from tests.harness.forms import form, script
from tests.harness.interface import Interface, bearer
from tests.harness.service import Service
from tests.harness.waiting import eventually
from tests.on_cluster.ways import also_managed

SERVER_KEY = "upstream:server-key-8fq2"
REGISTRY_PASSWORD = "registry'p\"w $x-7kd3"
DOCKER_PASSWORD = "docker-p&w$x-5mz1"
CTRSECRET_PASSWORD = "ctrsecret-9tn4"


def base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")


def secret_keys(registry: str) -> dict[str, Any]:
    """The key lines of a script that hold secrets, braces doubled as the upstream sends them."""
    # Without blanks: the line is bash as well.
    secret = f'{{"server":"{registry}","username":"robot","password":"{DOCKER_PASSWORD}"}}'
    auths = {"auths": {f"https://{registry}": {"auth": base64(f"robot:{CTRSECRET_PASSWORD}")}}}
    return {
        "JOBOBJ_REPO": f"{registry}/app:1",
        "JOBOBJ_DOCKER_SECRET": secret.replace("{", "{{").replace("}", "}}"),
        "JOBOBJ_CTRSECRET": base64(json.dumps(auths)),
    }


def wrong_forms(good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Forms that hold the same secrets and that are refused, each at another place."""
    keys, body = secret_keys("registry.example.com"), "echo"

    def like(text: str, **fields: Any) -> dict[str, Any]:
        return {**form(text), "bearer": good["bearer"], **fields}

    yield {**good, "nodes": "many"}
    yield {**good, "name": "../../x"}
    yield {key: value for key, value in good.items() if key != "number"}
    yield {**good, "hpc_script": good["hpc_script"]["singularity"]}
    yield {**good, "hpc_script": {"singularity": good["hpc_script"]["singularity"][:-7]}}
    yield like(script(body, **keys) + "{" + keys["JOBOBJ_CTRSECRET"] + "}")
    yield like(script(body, **keys) + "{")
    yield like(script(body, **keys, JOBOBJ_WALLTIME="1h"))
    yield like(script(body, devices=["partition=nosuch"], **keys))
    yield like(script(body, devices=["sbatch_account=nosuch"], **keys))
    broken = {"JOBOBJ_DOCKER_SECRET": None, "JOBOBJ_CTRSECRET": keys["JOBOBJ_CTRSECRET"] + "!"}
    yield like(script(body, **{**keys, **broken}))
    yield like(script(body, **{**keys, "JOBOBJ_DOCKER_SECRET": keys["JOBOBJ_DOCKER_SECRET"][:-3]}))
    yield {**good, "bearer": good["bearer"].replace(".", "", 1)}
    yield {**good, "bearer": good["bearer"][1:]}


@contextmanager
def process_list() -> Iterator[set[str]]:
    """Every command line of this machine, the cluster's nodes among it, as anybody can see them."""
    seen: set[str] = set()
    over = Event()

    def look() -> None:
        while not over.wait(0.02):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):  # it has ended
                    seen.add(file.read_text(encoding="utf-8", errors="replace"))

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def control_folder(interface: Interface, name: str) -> Path | None:
    """A job's, once it is there: through slurmrestd the job makes it when it starts."""
    found = [file for file in interface.files("kirby", name) if file.parent.name == "control"]
    return found[0] if found else None


@also_managed
def test_no_secret_shows(own_service: Callable[..., Service], interface: Interface, cluster: Cluster) -> None:
    with process_list() as command_lines:
        secrets, shown = everything_that_shows(own_service, interface, cluster)
    # An error that clips what it repeats would still show the beginning.
    assert not [secret for secret in secrets if secret[:24] in shown]
    assert any("slurm_script" in line for line in command_lines), "the jobs' processes are among them"
    assert not [secret for secret in secrets if any(secret[:24] in line for line in command_lines)]


def everything_that_shows(
    own_service: Callable[..., Service], interface: Interface, cluster: Cluster
) -> tuple[list[str], str]:
    """All secrets of a service and of jobs that it took or refused, and what it logged and answered."""
    service = own_service(
        JARVICE_SCHED_SERVER_KEY=SERVER_KEY,
        JARVICE_DOCKER_USERNAME=base64("system-robot"),
        JARVICE_DOCKER_PASSWORD=base64(REGISTRY_PASSWORD),
        JARVICE_SINGULARITY_VERBOSE="true",
    )
    replies = [service.get("/running"), service.get("/live")]
    assert [reply.status_code for reply in replies] == [401, 200]
    service.http.auth = ("upstream", SERVER_KEY + "x")
    replies.append(service.get("/running"))
    service.http.auth = ("upstream", SERVER_KEY.partition(":")[2])

    keys = secret_keys("registry.example.com")
    token = bearer(cluster, "kirby", sub="bearer-2xc6")
    # Its own docker secret is for another registry, so this one is pulled with the user's CTRSECRET.
    other = {**keys, "JOBOBJ_DOCKER_SECRET": secret_keys("other.example.com")["JOBOBJ_DOCKER_SECRET"]}
    body = 'echo "done${SLURM_JWT:+ with a token}"'
    for text in (script(body, **keys), script(body, **other)):
        good = {**form(text), "bearer": token}
        replies += of_a_job_that_ran(service, good, interface, cluster)
    replies += of_jobs_that_were_refused(service, good, interface)

    _, claims, signed = token.split(".")
    secrets = [SERVER_KEY.partition(":")[2], REGISTRY_PASSWORD, DOCKER_PASSWORD, CTRSECRET_PASSWORD]
    secrets += [base64(secret) for secret in secrets]
    secrets += [base64(f"robot:{CTRSECRET_PASSWORD}"), keys["JOBOBJ_CTRSECRET"]]
    secrets += [claims, signed, "bearer-2xc6"]
    secrets += interface.settings.get("JARVICE_SLURM_SERVICE_TOKEN", "").split(".")[1:]
    secrets += [line for user in ("jarvice", "kirby") for line in cluster.key(user).splitlines()[1:-1]]
    shown = service.log()
    for reply in replies:
        shown += reply.text + str(reply.headers)
        if reply.headers["Content-Type"] == "application/json":
            shown += str(reply.json())
    return secrets, shown


def of_a_job_that_ran(
    service: Service, good: dict[str, Any], interface: Interface, cluster: Cluster
) -> list[Response]:
    """What is answered about a job whose control folder only its owner, and who removes it, can read."""
    job = service.submit(good)
    # Where they are sent beside the script it has only marks of them.
    assert ("<SECRET1>" if interface.name == "cli" else "********") in job.script
    replies = [service.post("/submit", good)]
    control = eventually(partial(control_folder, interface, job.name), what="the control folder")
    # With the ACL that lets the entry user in, the bits of the group are its mask.
    mode = 0o700 if interface.name == "cli" else 0o770
    assert control.stat().st_mode & 0o777 == mode, "the scripts in it hold passwords"
    assert not _readable_for(cluster, "mario", interface.control(job.name))
    replies.append(service.post("/events", job.ref))
    ended = service.exit_of(job)
    assert ended.code == 0
    if interface.shows_output:
        assert ended.output == "done\n"
    return [*replies, service.post("/exitstatus", job.ref)]


def of_jobs_that_were_refused(service: Service, good: dict[str, Any], interface: Interface) -> list[Response]:
    """What is answered to forms with faults and to tokens of nobody."""
    replies = []
    for wrong in wrong_forms(good):
        replies.append(service.post("/submit", wrong))
        assert 400 <= replies[-1].status_code < 500, replies[-1].text
    signature = "a key of 32 bytes or more, for HS256"
    of_nobody = {**good, "bearer": jwt.encode({"email": "x@example.com"}, signature)}
    replies.append(service.post("/submit", of_nobody))
    assert replies[-1].status_code == 403
    if interface.name != "cli":  # which does not look who has signed a token
        claims = jwt.decode(good["bearer"], options={"verify_signature": False})
        forged = {**good, "bearer": jwt.encode(claims, signature), "name": f"9{good['name']}"}
        replies.append(service.post("/submit", forged))
        assert replies[-1].status_code == 401
    return replies


def _readable_for(cluster: Cluster, user: str, folder: str) -> bool:
    """Whether this user can list a folder of the cluster."""
    done = cluster.run("runuser", "-u", user, "--", "sh", "-c", f"ls {folder} >/dev/null 2>&1; echo $?")
    return done.strip() == "0"
