"""Hostile jobs through intake, rendering and real bash: none is more than the job that it says it is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import yaml

from pipeline import redaction
from pipeline.errors import CallerError
from pipeline.job import Container, Job, UpstreamScript
from pipeline.prepare import Preparer
from pipeline.render import BatchScript, PayloadRenderer
from pipeline.render import context as rendering
from pipeline.render.sealing import Seal
from pipeline.settings import Settings
from pipeline.settings.load import read
from pipeline.slurm.api_versions import API_VERSIONS
from tests.torture.drawing import drawn
from tests.torture.hostile_jobs import FORMS, SPECS, Hostile, site_settings
from tests.torture.hostile_node import HostileNode
from tests.torture.rounds import Round
from tests.unit.test_directives import sbatch_reads

_AT_A_TIME = 25
"""Jobs of one site: its templates are compiled once for them."""
_WORKERS = 2
_TOLD = 10
"""Broken promises that are told in full, of each worker."""
_LOGINS = {
    "lab": ("registry.example.com", "robot$(canary)", "hunter2'`canary`\"\\|&"),
    "hub": ("docker.io", "<SECRET1>", "|e canary"),
}


@dataclass
class Jobs:
    """What became of them."""

    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """By the field that was refused."""
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures, for people."""
        told = (
            "jobs",
            "sites",
            "settings refused",
            "accepted",
            "refused",
            "run by bash",
            "containers started",
        )
        rest = sorted(set(self.counts) - set(told))
        fields = ", ".join(f"{name} {count}" for name, count in self.refusals.most_common(8))
        return [
            *(f"{name:25} {self.counts[name]}" for name in (*told, *rest)),
            f"{'refused most often for':25} {fields}",
        ]

    def add(self, other: Jobs) -> None:
        """Count these too."""
        self.counts += other.counts
        self.refusals += other.refusals
        self.broken += other.broken


class _Open(Seal):
    """Hides nothing."""

    def hide(self, secret: str) -> str:
        return secret


class Site:
    """A site's settings, and a node that runs its jobs. ``jobs`` counts what became of them."""

    def __init__(
        self, environment: Mapping[str, str], node: HostileNode, jobs: Jobs, chance: random.Random
    ) -> None:
        self._node = node
        self._jobs = jobs
        self._chance = chance
        ways = {way: read({**environment, "JARVICE_SLURM_INTERFACE": way}) for way in ("cli", "http")}
        jobs.counts.update({"sites": 1, "settings refused": len(ways["cli"].faults)})
        self._settings = {way: reading.settings for way, reading in ways.items()}
        self._preparers = {way: Preparer(ours) for way, ours in self._settings.items()}
        self._payloads = PayloadRenderer(self._settings["http"])

    def take(self, hostile: Hostile) -> None:
        """Do all with one job that is done with a job; what it must not do is told in ``jobs.broken``."""
        self._jobs.counts["jobs"] += 1
        try:
            self._take(hostile)
        except AssertionError as promise:
            self._broken(hostile, str(promise))
        except Exception as unforeseen:
            self._broken(hostile, f"{type(unforeseen).__name__}: {unforeseen}")
        finally:
            redaction.forget_here()

    def _take(self, hostile: Hostile) -> None:
        try:
            job, cli = self._prepared(hostile, "cli")
        except CallerError as refusal:
            self._jobs.counts["refused"] += 1
            self._jobs.refusals[str(getattr(refusal, "field", type(refusal).__name__))[:40]] += 1
            refusal.message.encode("utf-8")
            return
        self._jobs.counts["accepted"] += 1
        _check_directives(job, cli, self._settings["cli"])
        _, http = self._prepared(hostile, "http")
        _check_directives(job, http, self._settings["http"])
        self._check_payload(job, http)
        # Through slurmrestd the script brings its secrets; the other has them laid beside it.
        self._check_run(hostile, job, self._chance.choice((cli, http)))

    def _prepared(self, hostile: Hostile, way: str) -> tuple[Job, BatchScript]:
        preparer = self._preparers[way]
        job = (preparer.check_spec if hostile.is_native else preparer.check)(hostile.document)
        return job, preparer.render(job)

    def _check_payload(self, job: Job, batch: BatchScript) -> None:
        version = self._chance.choice(API_VERSIONS)
        try:
            payload = self._payloads.payload(batch, version, user="kirby", home="/home/kirby")
        except CallerError as refusal:
            if not batch.extras:
                raise AssertionError(f"refused, and asks for nothing unusual: {refusal}") from None
            self._jobs.counts["without a payload"] += 1
            return
        self._jobs.counts["payloads"] += 1
        document = payload.document
        asked = document["job"]
        script = document.get("script", asked.get("script"))
        assert script == batch.text, "the payload has another script"
        assert asked["name"] == batch.slurm_name, f"the payload's name is {asked['name']!r}"
        assert asked.get("account") == job.resources.sbatch_options.get("account"), "another account"
        assert asked.get("partition", "") == job.resources.partition, "another partition"
        unknown = {"user_id", "group_id", "argv", "container", "burst_buffer"} & set(asked)
        assert not unknown, f"the payload has {unknown}"

    def _check_run(self, hostile: Hostile, job: Job, batch: BatchScript) -> None:
        node = self._node
        ran = node.run_batch(
            batch,
            len(hostile.before.encode("utf-8", "replace")),
            len(hostile.after.encode("utf-8", "replace")),
        )
        self._jobs.counts["run by bash"] += 1
        assert not ran.canary, "a field was executed"
        assert b"syntax error" not in ran.stderr, ran.stderr.decode("utf-8", "replace")[:300]
        if isinstance(job.work, UpstreamScript):
            self._check_upstream(hostile, job, job.work)
        else:
            self._check_container(job, job.work, ran.stderr)

    def _check_upstream(self, hostile: Hostile, job: Job, work: UpstreamScript) -> None:
        got = self._node.job_script()
        before, after = hostile.before.encode("utf-8"), hostile.after.encode("utf-8")
        assert got.startswith(before), "the script's beginning is not as it was sent"
        assert got.endswith(after), "the script's end is not as it was sent"
        wanted = rendering.parameters(job, work, self._settings["cli"], _Open(""))
        environment = self._node.environment_of("parameters")
        for name, value in wanted.items():
            arrived = environment.get(name)
            assert arrived == str(value), f"{name} is {arrived!r}, not {value!r}"

    def _check_container(self, job: Job, work: Container, stderr: bytes) -> None:
        said = self._node.arguments("exec")
        if said is None:  # an image that is not there, a node of another machine: told on standard error
            assert stderr, "no container, and not a word"
            self._jobs.counts["ended before a container"] += 1
            return
        self._jobs.counts["containers started"] += 1
        command = [*(["/.jarvice-command"] if work.script else []), *work.command]
        assert said[len(said) - len(command) :] == command, f"the command is {said}"
        options = said[: len(said) - len(command) - 1]
        binds = [f"{m.source}:{m.target}{':ro' if m.read_only else ''}" for m in work.mounts]
        wanted = ["--cleanenv", "--writable-tmpfs", *(["--nv"] if job.resources.gpus else [])]
        wanted += [word for bind in binds for word in ("--bind", bind)]
        wanted += ["--pwd", work.working_dir] if work.working_dir else []
        assert options[: len(wanted)] == wanted, f"the options are {options}, not {wanted}"
        assert len(options) == len(wanted) + 2 * bool(work.script), f"there are more options: {options}"
        if work.script:
            assert self._node.command_script() == work.script.encode("utf-8"), "the script is another"
        environment = self._node.environment_of("exec")
        for name, value in work.environment.items():
            arrived = environment.get(f"APPTAINERENV_{name}")
            assert arrived == value, f"{name} is {arrived!r}, not {value!r}"

    def _broken(self, hostile: Hostile, what: str) -> None:
        self._jobs.counts["broken"] += 1
        if len(self._jobs.broken) < _TOLD:
            self._jobs.broken.append(f"{what[:300]}; {_shown(hostile)}; settings {self._unusual()}")

    def _unusual(self) -> str:
        ours, plain = self._settings["cli"], Settings()
        changed = {name: value for name, value in vars(ours).items() if value != getattr(plain, name)}
        return repr(changed)[:500]


def _shown(hostile: Hostile) -> str:
    return repr({**hostile.document, "before": hostile.before, "after": hostile.after})[:700]


def _check_directives(job: Job, batch: BatchScript, settings: Settings) -> None:
    """sbatch reads exactly the directives that the job asks for, and no other line for one."""
    text = batch.text
    assert "\0" not in text, "the script holds a NUL"
    assert "\r" not in text, "the script holds a CR, which sbatch refuses"
    words: list[str] = []
    for line in text.split("\n"):
        if line.startswith("#SBATCH"):
            words += sbatch_reads(line.removeprefix("#SBATCH"))
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    wanted = [
        f"--{option}" if value is True else f"--{option}={value}"
        for option, value in rendering.directives(job, settings).items()
    ]
    assert words == wanted, f"sbatch reads {words}, not {wanted}"


def _some(size: int, seed_: int, folder: Path) -> Jobs:
    """So many jobs, at sites of their own."""
    jobs = Jobs()
    chance = random.Random(seed_)
    folder.mkdir()
    node = HostileNode(folder)
    logins = folder / "logins.yaml"
    logins.touch(mode=0o600)
    logins.write_text(_logins(), encoding="utf-8")
    for number in range(0, size, _AT_A_TIME):
        [environment] = drawn(site_settings(str(node.home)), 1, chance)
        environment["JARVICE_DOWNSTREAM_REGISTRY_LOGINS"] = str(logins)
        site = Site(environment, node, jobs, chance)
        specs = SPECS.map(lambda made: _with_login(made, chance))
        count = min(_AT_A_TIME, size - number)
        for made in [*drawn(FORMS, count // 2, chance), *drawn(specs, count - count // 2, chance)]:
            site.take(made)
        node.clean()
    return jobs


def _with_login(made: Hostile, chance: random.Random) -> Hostile:
    login = {"registry.example.com/group/app:1": "lab", "ubuntu": "hub"}.get(str(made.document.get("image")))
    return Hostile({**made.document, "credentials": login}) if login and chance.random() < 0.5 else made


def _logins() -> str:
    entries = {
        name: {"registry": registry, "username": user, "password": password}
        for name, (registry, user, password) in _LOGINS.items()
    }
    return yaml.safe_dump({"registry_logins": entries})


def run(size: int, seed_: int, folder: Path) -> Jobs:
    """Take so many jobs, on all cores."""
    jobs = Jobs()
    shares = [size // _WORKERS + (worker < size % _WORKERS) for worker in range(_WORKERS)]
    with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as pool:
        done = [
            pool.submit(_some, share, seed_ * _WORKERS + worker, folder / f"node-{worker}")
            for worker, share in enumerate(shares)
            if share
        ]
        for each in done:
            jobs.add(each.result())
    if jobs.counts["accepted"] < size / 3:
        jobs.broken.append(
            f"of {size} jobs only {jobs.counts['accepted']} passed the intake: too few to show much"
        )
    return jobs


ROUND = Round(
    "hostile",
    "No field of a job is ever executed, adds a directive, or arrives as anything but itself.",
    10_000,
    "jobs",
    run,
)
