"""Marked secrets go through submissions of all kinds; then they are looked for wherever one could look."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from requests import Response

from tests.harness.cluster import Cluster
from tests.harness.containers import REGISTRY, Containers
from tests.harness.forms import form, job_name, script
from tests.harness.interface import Interface, bearer
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually
from tests.torture.bed import Several, interfaces, service
from tests.torture.rounds import Round

NODES = ("head", "n1", "n2", "n3")
_FOLDERS = ("/tmp", "/var/tmp", "/run", "/var/spool", "/home", "/var/log", "/etc/slurm", "/dev/shm")
_SHOWN = 24
"""Of a long secret its beginning is looked for: an error that clips what it repeats would show that."""


class Marks:
    """Secrets that nothing else holds, each with a name."""

    def __init__(self, cluster: Cluster, owner: str) -> None:
        def mark(what: str) -> str:
            return f"{what}'p\"&$-{secrets.token_hex(8)}"

        self.server = f"srv-{secrets.token_hex(8)}"
        self.system, self.docker, self.auths = mark("sys"), mark("dkr"), mark("ctr")
        self.native = f"nat-{secrets.token_hex(8)}"
        self.bearer = bearer(cluster, owner, sub=f"sub-{secrets.token_hex(8)}")
        self.texts = {
            "the server's key": self.server,
            "the system registry's password": self.system,
            "the docker secret's password": self.docker,
            "the password in JOBOBJ_CTRSECRET": self.auths,
            "a native job's password": self.native,
        }
        self.texts.update({f"{what}, in base64": _base64(text) for what, text in list(self.texts.items())})
        self.texts["the login in JOBOBJ_CTRSECRET"] = _base64(f"robot:{self.auths}")
        self.texts["the bearer's claims"], self.texts["the bearer's signature"] = self.bearer.split(".")[1:]
        for user in ("jarvice", owner):
            self.texts[f"{user}'s private key"] = cluster.key(user).splitlines()[2]
        self.texts["the key that signs certificates"] = cluster.key("user_ca").splitlines()[2]

    def found_in(self, text: str) -> list[str]:
        """What of them this shows."""
        return [what for what, secret in self.texts.items() if secret[:_SHOWN] in text]

    def keys(self) -> dict[str, Any]:
        """The lines of an upstream script that hold secrets, braces doubled as the upstream sends them."""
        registry = "registry.example.com"
        login = json.dumps({"server": registry, "username": "robot", "password": self.docker})
        auths = {"auths": {f"https://{registry}": {"auth": _base64(f"robot:{self.auths}")}}}
        return {
            "JOBOBJ_REPO": f"{registry}/app:1",
            "JOBOBJ_DOCKER_SECRET": login.replace(" ", "").replace("{", "{{").replace("}", "}}"),
            "JOBOBJ_CTRSECRET": _base64(json.dumps(auths)),
        }


@dataclass
class Searched:
    """What was found where."""

    interface: str
    known: Counter[str] = field(default_factory=Counter)
    """Where the contract or Slurm itself has a secret be, with how often it was seen."""
    looked_at: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures, for people."""
        looked = ", ".join(f"{count} {what}" for what, count in self.looked_at.items())
        known = [f"  meant to be there: {where} ({count})" for where, count in sorted(self.known.items())]
        return [f"{self.interface}: looked at {looked}", *known]

    def shown(self, what: list[str], where: str) -> None:
        """Secrets were found where none may be."""
        self.broken += [f"{self.interface}: {secret} shows in {where}" for secret in what]


def marked(interface: Interface, folder: Path) -> Searched:
    """Everything through one interface."""
    cluster, result = interface.cluster, Searched(interface.name)
    marks = Marks(cluster, "kirby")
    asked = service(
        interface,
        folder,
        {
            "JARVICE_SCHED_SERVER_KEY": f"upstream:{marks.server}",
            "JARVICE_DOCKER_USERNAME": _base64("system-robot"),
            "JARVICE_DOCKER_PASSWORD": _base64(marks.system),
            "JARVICE_SINGULARITY_VERBOSE": "true",
            "JARVICE_SLURM_SSH_CA_KEY": cluster.key("user_ca"),
        },
    )
    if interface.name == "cli":
        _let_in_by_certificate("kirby@example.com", folder / "users_id_mapping_configuration.yaml")
    asked.http.auth = ("upstream", marks.server)
    asked.start()
    search = _Search(interface, marks, result)
    try:
        with search.in_processes(asked.pid):
            replies = _of_jobs(asked, interface, marks, search)
            replies += _of_refusals(asked, marks)
            errors = _of_native_jobs(interface, marks, folder, search)
        search.in_files("afterwards")
    finally:
        asked.stop()
        search.close()
    for reply in replies:
        result.shown(
            marks.found_in(f"{reply.text} {reply.headers}"), f"an answer of {reply.request.path_url}"
        )
    for error in errors:
        result.shown(marks.found_in(error), "what a native job says")
    result.shown(marks.found_in(asked.log()), "the service's log")
    result.looked_at["replies"] += len(replies)
    result.looked_at["lines of the service's log"] += asked.log().count("\n")
    for log in Path(cluster.info["logs"]).rglob("*"):
        if log.is_file():
            result.looked_at["logs of the cluster"] += 1
            result.shown(marks.found_in(log.read_text(encoding="utf-8", errors="replace")), str(log))
    return result


def _let_in_by_certificate(mail: str, mapping: Path) -> None:
    """Take this one's key out of the mapping; another entry of the same user keeps it."""
    document = yaml.safe_load(mapping.read_text(encoding="ascii"))
    for entry in document["users_id_mapping"]:
        if entry["mail"] == mail:
            del entry["ssh_private_key_b64"]
    mapping.write_text(yaml.safe_dump(document), encoding="ascii")


class _Search:
    """Looks for marks in processes, in files and in what Slurm shows, and tells what is meant to be there."""

    def __init__(self, interface: Interface, marks: Marks, result: Searched) -> None:
        self._interface = interface
        self._cluster = interface.cluster
        self._marks = marks
        self._result = result
        self._owner = self._cluster.home("kirby").stat().st_uid
        name = f"marks-{secrets.token_hex(4)}"
        self._inside = f"/shared/{name}"
        self._patterns = Path(self._cluster.info["shared"], name)
        self._patterns.touch(mode=0o600)
        # In a file, so that looking for them shows them to nobody.
        patterns = "".join(f"{secret[:_SHOWN]}\n" for secret in marks.texts.values())
        self._patterns.write_text(patterns, encoding="utf-8")

    def close(self) -> None:
        """Remove what it has made."""
        self._patterns.unlink()

    def in_files(self, when: str) -> None:
        """In the temporary files, spools and home folders of every node."""
        for node in NODES:
            words = f"grep -rlaF -f {self._inside} {' '.join(_FOLDERS)} 2>/dev/null || true"
            self._result.looked_at["searches of files"] += 1
            for file in self._cluster.run("sh", "-c", words, node=node).splitlines():
                meant = self._meant(node, file)
                if meant:
                    self._result.known[meant] += 1
                else:
                    self._result.broken.append(f"{self._interface.name}: {file} of {node} holds one, {when}")

    def in_slurm(self, job_id: str) -> None:
        """In what Slurm stores and shows of a job."""
        shown = {
            "scontrol show job": ("scontrol", "show", "--details", "job", job_id),
            "scontrol write batch_script": ("scontrol", "write", "batch_script", job_id, "-"),
            "sacct --batch-script": ("sacct", "--batch-script", "--jobs", job_id),
            "sacct --env-vars": ("sacct", "--env-vars", "--jobs", job_id),
        }
        for what, words in shown.items():
            self._result.looked_at["answers of Slurm's commands"] += 1
            found = self._marks.found_in(self._cluster.run(*words))
            if found and self._interface.name != "cli" and "batch" in what:
                self._result.known[f"the batch script that Slurm keeps ({what})"] += 1
            else:
                self._result.shown(found, what)

    @contextmanager
    def in_processes(self, service_pid: int) -> Iterator[None]:
        """In the command lines and the environments of all processes of this machine, all the while."""
        marks = re.compile(
            b"|".join(re.escape(secret[:_SHOWN].encode()) for secret in self._marks.texts.values())
        )
        over = threading.Event()

        def marked() -> Iterator[tuple[Path, str, bytes]]:
            for process in Path("/proc").glob("[0-9]*"):
                for what in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):  # it has ended
                        data = (process / what).read_bytes()
                        self._result.looked_at["looks at a process"] += 1
                        if marks.search(data):
                            yield process, what, data

        # Other services with the entry user's key in their settings.
        others = {process.name for process, _, _ in marked()} - {str(service_pid)}

        def look() -> None:
            while not over.wait(0.05):
                for process, what, data in marked():
                    if process.name not in others:
                        with contextlib.suppress(OSError):
                            self._process_shows(process, what, data, service_pid)

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _process_shows(self, process: Path, what: str, data: bytes, service_pid: int) -> None:
        name = (process / "comm").read_text().strip()
        is_of_job = process.stat().st_uid == self._owner and b"SLURM_JOB_ID=" in data
        if what == "environ" and is_of_job:
            self._result.known["the environment of the job's own processes, as its owner"] += 1
        elif what == "environ" and int(process.name) == service_pid:
            self._result.known["the settings of the service, in its own environment"] += 1
        else:
            owner = process.stat().st_uid
            fault = f"{self._interface.name}: the {what} of {name} (user {owner}) shows a secret"
            if fault not in self._result.broken:
                self._result.broken.append(fault)

    def _meant(self, node: str, file: str) -> str:
        """Why a file may hold a secret; empty: it may not."""
        if re.search(r"/\.jarvice/control/[^/]+/(secrets|job\.sh|job\.sh\.new)$", file):
            words = f'stat --format="%a %u" "{Path(file).parent}" "{file}" || true'
            folder, *rest = self._cluster.run("sh", "-c", words, node=node).splitlines() or [""]
            # Nobody else comes into the folder; with the ACL that lets the entry user in, the bits of the
            # group are its mask. What is gone by now was removed as its job ended.
            private = folder in (f"700 {self._owner}", f"770 {self._owner}", "")
            secret = "job.sh" in file or not rest or rest[0] in (f"600 {self._owner}", f"660 {self._owner}")
            return "a job's control folder, in files of its owner" if private and secret else ""
        if self._interface.name != "cli" and re.match(r"/var/spool/slurm(ctld|d)/.*script$", file):
            return "the batch script in Slurm's spools"
        return ""


def _of_jobs(asked: Service, interface: Interface, marks: Marks, search: _Search) -> list[Response]:
    """What is answered about a job that runs and one that fails, with a look at every stage."""
    replies = [asked.get("/running")]
    for then in ("exit 0", "exit 3"):
        text = script(f"echo begun; sleep 4; {then}", **marks.keys())
        args = form(text, name=job_name(app="marked"), held=True, bearer=marks.bearer)
        replies.append(asked.post("/submit", args))
        assert replies[-1].ok, replies[-1].text
        job = Sent(args["name"], args["number"], *replies[-1].json())
        search.in_files("while the job waits")
        search.in_slurm(job.job_id)
        replies += [asked.post("/submit", args), asked.post("/events", job.ref)]
        replies.append(asked.post("/release", job.ref))
        asked.await_running(job)
        search.in_files("while the job runs")
        eventually(partial(_ended, asked, job, replies), seconds=90, what="the end")
        search.in_slurm(job.job_id)
    return replies


def _ended(asked: Service, job: Sent, replies: list[Response]) -> bool:
    replies.append(asked.post("/exitstatus", job.ref))
    return replies[-1].ok


def _of_refusals(asked: Service, marks: Marks) -> list[Response]:
    """What is answered to forms with a fault, each at another place."""
    keys = marks.keys()
    good = form(script("echo", **keys), bearer=marks.bearer)
    encoded = good["hpc_script"]["singularity"]

    def like(text: str) -> dict[str, Any]:
        return form(text, bearer=marks.bearer)

    wrong: list[Mapping[str, Any]] = [
        {**good, "nodes": "many"},
        {**good, "name": "../../x"},
        {**good, "hpc_script": encoded},
        {**good, "hpc_script": {"singularity": encoded[:-7]}},
        like(script("echo", **keys) + "{" + keys["JOBOBJ_CTRSECRET"] + "}"),
        like(script("echo", **keys) + "{"),
        like(script("echo", **keys, JOBOBJ_WALLTIME="1h")),
        like(script("echo", devices=["partition=nosuch"], **keys)),
        like(script("echo", devices=["sbatch_account=nosuch"], **keys)),
        like(script("echo", **{**keys, "JOBOBJ_CTRSECRET": keys["JOBOBJ_CTRSECRET"] + "!"})),
        like(script("echo", **{**keys, "JOBOBJ_DOCKER_SECRET": keys["JOBOBJ_DOCKER_SECRET"][:-3]})),
        {**good, "bearer": marks.bearer.replace(".", "", 1)},
        {**good, "bearer": marks.bearer[1:]},
    ]
    return [asked.post("/submit", args) for args in wrong]


def _of_native_jobs(interface: Interface, marks: Marks, folder: Path, search: _Search) -> list[str]:
    """What a native job says whose login is not taken."""
    if interface.cluster.variant == "bookworm":  # it has no apptainer
        return []
    place = folder / "native"
    place.mkdir()
    logins = place / "logins.yaml"
    logins.touch(mode=0o600)
    login = {"registry": REGISTRY, "username": "robot", "password": marks.native}
    logins.write_text(yaml.safe_dump({"registry_logins": {"marked": login}}), encoding="utf-8")
    containers = Containers(
        interface.cluster, interface, place, JARVICE_DOWNSTREAM_REGISTRY_LOGINS=str(logins)
    )
    try:
        job = containers.submit("true", credentials="marked", held=True)
        search.in_files("while a native job waits")
        interface.cluster.run("scontrol", "release", job.job_id)
        ended = containers.end_of(job)
        assert ended.code != 0, "the registry has let it in"
        search.in_slurm(job.job_id)
        return [ended.output, str(ended)]
    finally:
        containers.close()


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")


def _run(size: int, seed: int, folder: Path) -> Several:
    """Through either interface."""
    with interfaces("cli", "http") as ways:
        return Several([marked(way, folder / way.name) for way in ways])


ROUND = Round(
    "secrets",
    "No secret shows in logs, answers, processes, environments or files but where it is meant to be.",
    1,
    "time each",
    _run,
    needs_cluster=True,
)
