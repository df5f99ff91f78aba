"""Everything that reads what others have written: a good text for each, and what it may raise."""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline import intake, redaction
from pipeline.api import wire
from pipeline.bearers.keys import read_keys
from pipeline.cli.job_file import FileArgument, read_job_file
from pipeline.connectors.local.process import Asked
from pipeline.errors import DownstreamError
from pipeline.identity import bearer
from pipeline.intake import devices, images, script
from pipeline.job import JobFiles
from pipeline.registry_logins import RegistryLogins
from pipeline.settings import Settings
from pipeline.settings.load import DECLARED
from pipeline.settings.yaml_file import parse_yaml
from pipeline.slurm import (
    comments,
    directives,
    folders,
    hostlist,
    job_files,
    reasons,
    refusals,
    states,
    times,
    tres,
)
from pipeline.slurm.api_versions import API_VERSIONS
from pipeline.slurm.commands import (
    Command,
    ExitCodes,
    NoAccounting,
    Ping,
    Sacct,
    SacctOfName,
    ShowJob,
    Squeue,
)
from pipeline.slurm.options import OptionFault, Options
from pipeline.slurm.rest import requests as rest
from pipeline.slurm.rest.refusals import NoSuchPath
from pipeline.slurm.submission import Unsettled
from pipeline.transport import Completed, HttpReply
from pipeline.transport.ssh.known_hosts import read_known_hosts
from pipeline.transport.ssh.shell import _Stream
from tests.harness.forms import script as upstream_script
from tests.harness.jobs import NAME

_FILES = JobFiles("", NAME)
_NOW = datetime(2026, 1, 1, 12)
_LOGINS = RegistryLogins(None)
_SETTINGS = Settings()


@dataclass(frozen=True)
class Parser:
    """One of them."""

    name: str
    read: Callable[[bytes], object]
    good: Sequence[bytes]
    """Texts that it can read, or nearly; what it is given is made of them."""
    may_raise: tuple[type[Exception], ...] = (DownstreamError,)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _of(command: Command[object], *good: str, raises: tuple[type[Exception], ...] = ()) -> Parser:
    """Of a command's reply, whatever its exit code."""
    told: tuple[type[Exception], ...] = (DownstreamError, *raises)

    def read(data: bytes) -> None:
        for reply in (Completed(0, data), Completed(1, data, data), Completed(66, b"", data)):
            try:
                command.parse(reply)
            except told as fault:
                str(fault).encode("utf-8")

    return Parser(type(command).__name__, read, [text.encode() for text in good])


def _rest(data: bytes) -> None:
    asked: list[rest.RestRequest[object]] = [
        rest.SubmitJob(b"{}"), rest.JobStates(), rest.GetJob("7", "jarvice_"), rest.ShowJob("7"),
        rest.AccountedName("jarvice_x"), rest.AccountedJob("7"), rest.CancelJob("7"), rest.ReleaseJob("7"),
        rest.Ping(),
    ]  # fmt: skip
    for request in asked:
        for status, version in ((200, API_VERSIONS[0]), (200, API_VERSIONS[-1]), (500, API_VERSIONS[2])):
            try:
                request.parse(HttpReply(status, data), version)
            except (DownstreamError, Unsettled, NoSuchPath):
                continue


def _options(data: bytes) -> None:
    options = Options({"x": _text(data)}, _NOW)
    ways: list[Callable[[str], object]] = [
        options.number, options.nice, options.priority, options.minutes, options.seconds, options.epoch,
        options.megabytes, options.words, options.hosts, options.switches, options.signal, options.flag,
    ]  # fmt: skip
    for way in ways:
        try:
            way("x")
        except OptionFault:
            continue


def _times(data: bytes) -> None:
    for read in (
        times.seconds,
        lambda text: times.epoch(text, _NOW),
        states.read_seconds,
        states.read_exit_code,
        lambda text: tres.read(text.split(",")),
        tres.of_gpus,
    ):
        try:
            read(_text(data))
        except ValueError:
            continue


def _words(data: bytes) -> None:
    text = _text(data)
    comments.digest_in(text)
    reasons.read_reason("PENDING", text)
    states.phase(states.read_state(text))
    refusals.kind(text)
    str(refusals.fault(Completed(1, b"", data), "sbatch")).encode("utf-8")


def _script(data: bytes) -> None:
    text = _text(data)
    script.keys(text)
    script.secret_values(text)
    script.fill(text, "parameters")
    script.seal(text, lambda secret: "")


def _images(data: bytes) -> None:
    text = _text(data)
    images.image_name(text)
    images.in_global_registries(_SETTINGS, text)
    for login in ((text, ""), ("", text), ("", b64encode(data).decode())):
        try:
            images.login_for("registry.example.com", *login)
        except DownstreamError:
            continue


def _form(data: bytes) -> None:
    encoded = b64encode(data).decode()
    form = {"name": NAME, "number": 1, "nodes": 1, "bearer": "x", "hpc_script": {"singularity": encoded}}
    intake.read_form(form, _SETTINGS)


def _document(read: Callable[[Mapping[str, object]], object]) -> Callable[[bytes], None]:
    def of(data: bytes) -> None:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return
        read(found)

    return of


def _in_file(read: Callable[[Path], object]) -> Callable[[bytes], None]:
    def of(data: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            read(Path(file.name))

    return of


def _bearer(data: bytes) -> None:
    text = _text(data)
    bearer.expired_since(text)
    bearer.mail_of(bearer.unverified(text))


def _args(data: bytes) -> None:
    wire.job_ref(wire.read_args({"args": _text(data)}))


def _stream(data: bytes) -> None:
    stream = _Stream(b"\n0123456789abcdef ")
    for start in range(0, len(data), 7 + len(data) // 50):
        stream.take(data[start : start + 7 + len(data) // 50])
    assert stream.data == data


def _settings(data: bytes) -> None:
    for declared in DECLARED.values():
        try:
            declared.kind.read(_text(data))
        except ValueError:
            continue


_JWKS = json.dumps(
    {
        "keys": [
            {
                "kty": "EC",
                "kid": "a",
                "use": "sig",
                "crv": "P-256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            }
        ]
    }
).encode()
_JWT = (
    "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJlbWFpbCI6ImtpcmJ5QGV4YW1wbGUuY29tIiwiZXhwIjoxfQ.c2lnbmF0dXJl"
)
_RECORD = f"MARK|7|kirby|RUNNING|1-02:03:04|n[1-2],m3|None|MARK:jarvice_{NAME}|MARK:(null)\n"
_ACCOUNTED = f"7|kirby|CANCELLED by 0|01:05|n[1-2]|0:15|jarvice_{NAME}\n"
_JOB = {
    "job_id": 7, "name": f"jarvice_{NAME}", "user_name": "kirby", "job_state": ["RUNNING"], "nodes": "n[1-2]",
    "start_time": {"set": True, "infinite": False, "number": 1}, "end_time": 2, "exit_code": 256,
    "state_reason": "None",
}  # fmt: skip
_FORM = {
    "name": NAME,
    "number": 1,
    "nodes": 1,
    "bearer": "x",
    "hpc_script": {"singularity": b64encode(upstream_script("echo").encode()).decode()},
    "held": None,
}
_SPEC = {
    "name": "a", "user": "kirby", "command": ["a"], "image": f"example.com:5000/a/b:1@sha256:{'0' * 64}",
    "environment": {"A": "b"}, "mounts": [{"source": "/a"}], "walltime": "01:00:00", "licenses": "a:1,b",
    "sbatch": {"qos": "x"}, "mpi": True, "partition": "x", "script": "x",
}  # fmt: skip
_YAML = (
    "# x\nname: a\nimage: &x ubuntu\ncommand: [a, *x]\n"
    "environment: {A: 'b'}\nscript: |\n  a\n  b\n<<: {user: b}\n"
)
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7CCA6nvBzGFhpOdk5uhPkZuZbYjRqzJ4n3JWeOOJ3e"
_SLURM_TEXTS = (
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
    "Socket timed out on send/recv operation",
)

PARSERS: tuple[Parser, ...] = (
    _of(Squeue("jarvice_", "MARK"), _RECORD, _RECORD * 3),
    _of(Sacct("jarvice_", ["7"]), _ACCOUNTED, "accounting storage is disabled", raises=(NoAccounting,)),
    _of(SacctOfName("jarvice_", NAME), _ACCOUNTED * 2, raises=(NoAccounting,)),
    _of(ExitCodes(["7"]), "7 3:0\n8 0:9\n", "slurm_load_jobs error: Invalid job id specified"),
    _of(ShowJob("7"), "JobId=7 JobName=x\n   UserId=kirby(2001)\n", *_SLURM_TEXTS),
    _of(Ping(), "Slurmctld(primary) at head is UP\n", *_SLURM_TEXTS),
    _of(job_files.ReadRecord(_FILES, "7"), "7 0 1700000000 1700000060\n"),
    _of(job_files.ReadClaim(_FILES), "7;digest\n", "7\n"),
    _of(job_files.Tail(_FILES, 10, 1000), "a line\nanother\n"),
    _of(job_files.OutputFrom(_FILES, 0), "12\nthe output\n\n"),
    _of(job_files.Remove(_FILES, "7"), "rm: cannot remove 'x': Permission denied\n"),
    _of(folders.Listing("/data", True, ["/data"]), "d 1700000000 4096 \0f 1700000000 10 a file\0"),
    _of(folders.HomeFolder("kirby"), "kirby:x:2001:2001:Kirby,,,:/home/kirby:/bin/bash\n"),
    Parser(
        "hostlist",
        lambda data: hostlist.expand(_text(data)),
        [b"n[1-3,007-012],r[1-2]c[1-9]-x,gpu01"],
        (ValueError,),
    ),
    Parser(
        "times and counts",
        _times,
        [b"1-02:03:04", b"now+5hours", b"2026-01-01T10:00", b"gres/gpu:a100=2,cpu=1"],
    ),
    Parser("options of sbatch", _options, [b"B:USR1@300", b"n[1-9],m1", b"2@10:00", b"500MB", b"TOP", b"-5"]),
    Parser(
        "Slurm's words",
        _words,
        [text.encode() for text in (*_SLURM_TEXTS, "jarvice:0123abcd", "CANCELLED by 0")],
    ),
    Parser(
        "directives",
        lambda data: (directives.read(_text(data)), Asked.by(_text(data))),
        [b'#!/bin/bash\n#SBATCH --comment="a \\" b" # x\n\n#SBATCH --time=01:00:00 --nodes=2 --hold\nexit\n'],
    ),
    Parser(
        "slurmrestd",
        _rest,
        [
            json.dumps({"jobs": [_JOB], "errors": []}).encode(),
            b'{"job_id": 7, "errors": [], "warnings": []}',
            b'{"errors": [{"error_number": 2017, "error": "Invalid job id", "source": "#/a"}]}',
            b'{"pings": [{"hostname": "head", "pinged": "UP"}], "errors": null}',
        ],
    ),
    Parser(
        "upstream script", _script, [upstream_script("echo ${x}", JOBOBJ_DOCKER_SECRET='{"a":"b"}').encode()]
    ),
    Parser(
        "upstream form",
        _form,
        [upstream_script("echo", JARVICE_CMD="x", JOBOBJ_WALLTIME="01:00:00").encode()],
    ),
    Parser(
        "form's fields",
        _document(lambda found: intake.read_form(found, _SETTINGS)),
        [json.dumps(_FORM).encode()],
    ),
    Parser(
        "native spec",
        _document(lambda found: intake.read_spec(found, _SETTINGS, _LOGINS)),
        [json.dumps(_SPEC).encode()],
    ),
    Parser(
        "job file",
        _in_file(lambda path: read_job_file(FileArgument(str(path)))),
        [_YAML.encode(), json.dumps(_SPEC).encode()],
    ),
    Parser("YAML of the site", parse_yaml, [_YAML.encode()], (DownstreamError, ValueError)),
    Parser(
        "devices", lambda data: devices.read(_text(data)), [b'["overlay=600", "partition=x", "sbatch_qos=a"]']
    ),
    Parser(
        "images and logins",
        _images,
        [
            b"registry.example.com:5000/a/b:1@sha256:00",
            b'{"server": "registry.example.com", "username": "a", "password": "b"}',
            b'{"auths": {"https://registry.example.com/v1/": {"auth": "YTpi"}}}',
        ],
    ),
    Parser("bearer", _bearer, [_JWT.encode(), _JWT.removeprefix("Bearer ").encode()]),
    Parser(
        "keys of tokens",
        lambda data: read_keys(_text(data), ["ES256"]),
        [
            _JWKS,
            b"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n",
        ],
        (ValueError,),
    ),
    Parser(
        "known hosts",
        _in_file(read_known_hosts),
        [f"@revoked [127.0.0.1]:2222,*.example.com,!x {_KEY}\n# x\n|1|AAAA|AAAA {_KEY} comment\n".encode()],
    ),
    Parser(
        "args",
        _args,
        [json.dumps({"name": NAME, "number": 1, "jobid": "7", "qs": {"lines": ["10"]}}).encode()],
    ),
    Parser("ssh frames", _stream, [b"output\n0123456789abcdef 0\n"]),
    Parser(
        "redaction",
        lambda data: redaction.redact(_text(data)),
        [
            _JWT.encode(),
            b"Authorization: Basic cG9ydGFsOmtleQ==",
            b"https://user:hunter2@example.com/ eyJ LS0tLS1CRUdJTi",
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
        ],
    ),
    Parser(
        "settings",
        _settings,
        [b"600", b"https://head.example.com", b"YQ==", b"/home/%u", b"a,b", b"user:password"],
    ),
)
