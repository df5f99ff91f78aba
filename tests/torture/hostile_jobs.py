"""Jobs as somebody would write them who wants to be more than a job: forms, native specs, settings.

Most pass the intake: every field is of its form as far as it has one, and hostile where it is free. Now and
then a field is something else altogether.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.harness.text import ANY_TEXT, ONE_LINE, SHELL_TEXT

RUN = "canary"
"""A program that must never run: it makes a file that is looked for."""

_ATTEMPTS = (
    f"$({RUN})",
    f"`{RUN}`",
    f"'; {RUN}; '",
    f'"; {RUN}; "',
    f"\n{RUN}\n",
    f"\r\n{RUN}\r\n",
    f"x\n#SBATCH --uid=0\n{RUN}",
    f"x\n#SBATCH --wrap={RUN}\n",
    f"&& {RUN} #",
    f"| {RUN}",
    f"; {RUN}",
    f"<({RUN})",
    f"$'\\n{RUN}'",
    f"${{x:-$({RUN})}}",
    f"a[$({RUN})]",
    f"END_OF_SCRIPT\n{RUN}",
    f"END_OF_TASK\n{RUN}",
    f"END_OF_SECRETS\n{RUN}",
    f"END_OF_SCRIPT_1\n{RUN}\nEND_OF_SCRIPT",
    f"<CR>\r<CR1><SECRET1><SECRET2>\n{RUN}",
    f"|e {RUN}\ns|<SECRET1>||e",
    f"\\\n{RUN}",
    f"\\'; {RUN}; \\'",
    f"--uid=0 --wrap={RUN}",
    f'" --wrap="{RUN}',
    f"\u2028{RUN}\u0085{RUN}",
    f"\x1b]0;{RUN}\x07",
    f"() {{ :; }}; {RUN}",
    "{{ 7 * 7 }}{% set x = 1 %}",
    "{DOWNSTREAM_PARAMETERS}",
    "${IFS}",
    "hetjob",
    "packjob #x",
    "\\",
    "'",
    '"',
    "-n",
    "--",
    "%s%n%j",
    "~root",
    "*",
    "None",
)
_LINES = st.sampled_from([text for text in _ATTEMPTS if text.isprintable()])

TEXT = (
    st.sampled_from(_ATTEMPTS)
    | SHELL_TEXT
    | ANY_TEXT
    | st.tuples(ANY_TEXT, st.sampled_from(_ATTEMPTS)).map("".join)
)
"""Any text that bash can be given."""
LINE = _LINES | ONE_LINE | st.tuples(ONE_LINE, _LINES).map("".join)
"""The same on one line, without control characters."""
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
"""Anything that JSON can say, also what no UTF-8 can."""


@dataclass(frozen=True)
class Hostile:
    """A document, and what of it the job must find as it was."""

    document: Mapping[str, Any]
    before: str = ""
    """The upstream's script up to the parameters, as it has to arrive, and what follows them."""
    after: str = ""

    @property
    def is_native(self) -> bool:
        return "hpc_script" not in self.document


def _name(start: str) -> st.SearchStrategy[str]:
    return st.from_regex(rf"{start}[A-Za-z0-9._-]{{0,20}}", fullmatch=True)


def _rarely(
    odd: st.SearchStrategy[Any], usual: st.SearchStrategy[Any], one_in: int = 12
) -> st.SearchStrategy[Any]:
    """The odd one so often. Hypothesis itself would overdo it: it likes what is small."""
    return st.builds(
        lambda chance, usual, odd: odd if chance % one_in == one_in // 2 else usual,
        st.integers(0, 10**6), usual, odd,
    )  # fmt: skip


def _spoiled(documents: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Now and then one field is something else, or is not there."""

    def spoil(document: dict[str, Any], place: int, junk: Any) -> dict[str, Any]:
        field = sorted(document)[place % len(document)]
        rest = {name: value for name, value in document.items() if name != field}
        return rest if junk is None else {**rest, field: junk}

    return _rarely(st.builds(spoil, documents, st.integers(0, 999), _JUNK), documents)


_JSON_LINE = st.booleans()
_LOGIN_TEXT = TEXT.filter(bool)
_REPO = st.sampled_from(
    [
        "ubuntu",
        "registry.example.com/group/app:1",
        "localhost:5000/a",
        "other.example.com:5000/x@y",
        "docker.io/a",
    ]
) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,20}", fullmatch=True)
_SERVERS = (
    st.sampled_from(
        [
            "registry.example.com",
            "https://index.docker.io/v1/",
            "docker.io",
            "localhost:5000",
            "other.example.com:5000",
        ]
    )
    | LINE
)
_OPTIONS = st.sampled_from(
    ["comment", "qos", "account", "constraint", "reservation", "dependency", "mail-user", "wckey"]
)


def _docker_config(server: str, user: str, password: str, plain: bool) -> str:
    login = (
        {"username": user, "password": password}
        if plain
        else {"auth": b64encode(f"{user}:{password}".encode()).decode()}
    )
    return b64encode(json.dumps({"auths": {server: login}}).encode()).decode()


_DEVICE = _rarely(
    st.sampled_from(["sbatch_uid=0", "sbatch_wrap=x", "sbatch_job-n=x", "sbatch_--uid=0", "sbatch_a b=c"])
    | st.tuples(TEXT, TEXT).map("=".join),
    st.integers(0, 9999).map("overlay={}".format)
    | LINE.map("partition={}".format)
    | st.sampled_from(["exclusive=True", "exclusive=False", "sbatch_requeue=", "sbatch_exclusive="])
    | st.tuples(_OPTIONS, LINE).map(lambda pair: f"sbatch_{pair[0]}={pair[1]}"),
    30,
)
_DEVICES = st.builds(json.dumps, st.lists(_DEVICE, max_size=3), ensure_ascii=_JSON_LINE)
_SECRET = st.builds(
    lambda server, user, password, ascii_: json.dumps(
        {"server": server, "username": user, "password": password}, ensure_ascii=ascii_
    ),
    _SERVERS, TEXT, _LOGIN_TEXT, _JSON_LINE,
)  # fmt: skip
_KEYS = _spoiled(
    st.fixed_dictionaries(
        {
            "JOBOBJ_APPDEFVERSION": st.just("2"),
            "JARVICE_CPU_CORES": st.integers(1, 64).map(str),
            "JOBOBJ_INTERACTIVE": st.just("False"),
            "JOBOBJ_REPO": _REPO,
            "JOBOBJ_NAE": _name("[A-Za-z0-9]"),
        },
        optional={
            "JOBOBJ_ARCH": st.sampled_from(["x86_64", "aarch64", "riscv_64"]),
            "JOBOBJ_USER": LINE,
            "JOBOBJ_CTRSECRET": st.builds(_docker_config, _SERVERS, _LOGIN_TEXT, _LOGIN_TEXT, st.booleans()),
            "JOBOBJ_DEVICES": _DEVICES,
            "JOBOBJ_GPUS": st.integers(0, 8).map(str),
            "JOBOBJ_RAM": st.integers(0, 999).map(str),
            "JOBOBJ_LICENSES": st.from_regex(r"[A-Za-z0-9_.@/-]{1,8}(:[0-9]{1,2})?", fullmatch=True),
            "JOBOBJ_WALLTIME": st.sampled_from(["01:00:00", "99999:59:59", "00:00:01", "None"]),
            "JARVICE_CMD": LINE,
            "JARVICE_X": LINE,
        },
    )
)
_BODIES = st.lists(TEXT | st.sampled_from(["END_OF_SCRIPT", "END_OF_TASK", "<CR>", "\r"]), max_size=4).map(
    "\n".join
)


def _upstream(
    form: dict[str, Any],
    keys: dict[str, Any],
    docker_secret: str | None,
    bodies: tuple[str, str],
    odd: int,
    raw: bytes,
) -> Hostile:
    """The form, with a script of these keys and bodies; now and then with bytes in its place."""
    lines = [f"{key}={value}" for key, value in keys.items()]
    doubled, as_is = [_double(line) for line in lines], list(lines)
    if docker_secret is not None:
        # Today's upstream sends it with single braces, an earlier one doubled them.
        secret = f"JOBOBJ_DOCKER_SECRET={docker_secret}"
        doubled.insert(0, _double(secret) if odd % 2 else secret)
        as_is.insert(0, secret)
    head, tail = bodies
    script = "\n".join(["#!/bin/bash", *doubled, _double(head), "{DOWNSTREAM_PARAMETERS}", _double(tail)])
    encoded = b64encode(raw if odd % 60 == 30 else script.encode("utf-8", "surrogatepass")).decode()
    document = {"hpc_script": {"singularity": encoded}, **form}
    return Hostile(document, "\n".join(["#!/bin/bash", *as_is, head, ""]), f"\n{tail}")


def _double(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


FORMS = st.builds(
    _upstream,
    _spoiled(
        st.fixed_dictionaries(
            {
                "name": _name("[0-9]"),
                "number": st.integers(0, 10**9),
                "nodes": st.integers(1, 9),
                "bearer": TEXT.filter(bool),
            },
            optional={"held": st.booleans() | st.none(), "more": _JUNK},
        )
    ),
    _KEYS,
    st.none() | _SECRET,
    st.tuples(_BODIES, _BODIES),
    st.integers(0, 10**6),
    st.binary(max_size=30),
)  # fmt: skip

_PATH = LINE.map(lambda text: f"/{text}")
_MOUNT_PATH = _PATH.map(lambda text: text.translate({ord(character): "_" for character in ":,\\"}))
_IMAGES = st.sampled_from(
    [
        "ubuntu",
        "registry.example.com/group/app:1",
        "localhost/a",
        "other.example.com:5000/a/b",
        f"a@sha256:{'0' * 64}",
    ]
)
_SBATCH = _rarely(
    st.dictionaries(TEXT | st.sampled_from(["uid", "--uid", "requeue"]), LINE | st.booleans(), max_size=2),
    st.dictionaries(_OPTIONS, LINE | st.integers(0, 99), max_size=2),
)
SPECS = _spoiled(
    st.fixed_dictionaries(
        {
            "name": _name("[A-Za-z]"),
            "user": st.just("kirby"),
            "image": _IMAGES,
            "command": st.lists(TEXT, min_size=1, max_size=4),
        },
        optional={
            "script": TEXT.filter(bool),
            "environment": st.dictionaries(
                st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
                | st.sampled_from(["IFS", "PATH", "BASH_ENV"]),
                TEXT | st.integers(),
                max_size=3,
            ),
            "mounts": st.lists(
                st.fixed_dictionaries(
                    {"source": _MOUNT_PATH}, optional={"target": _MOUNT_PATH, "read_only": st.booleans()}
                ),
                max_size=2,
            ),
            "working_dir": _PATH,
            "partition": LINE.filter(bool),
            "licenses": st.just("feat:2,feat3:1"),
            "walltime": st.just("26:00:00"),
            "nodes": st.integers(1, 9),
            "cores": st.integers(1, 9),
            "memory_gb": st.integers(0, 99),
            "gpus": st.integers(0, 4),
            "exclusive": st.booleans(),
            "held": st.booleans(),
            "sbatch": _SBATCH,
            "pull": st.sampled_from(["always", "missing"]),
            "overlay_mb": st.just(0),
        },
    )
).map(Hostile)

_FOLDER = LINE.map(lambda text: text.replace("/", "_").replace("..", "_"))
"""One part of a path."""


def site_settings(home: str) -> st.SearchStrategy[dict[str, str]]:
    """Variables of a site; its folders are within this one. Some cannot be used, and must be refused."""
    folder = _FOLDER.map(lambda text: f"{home}/of the site {text}")
    return st.fixed_dictionaries(
        {"JARVICE_SINGULARITY_OVERLAY_SIZE": st.just("0")},
        optional={
            "JARVICE_DOWNSTREAM_JOB_NAME_PREFIX": LINE
            | st.from_regex(r"[A-Za-z][A-Za-z_.-]{0,9}", fullmatch=True),
            "JARVICE_JOB_SCRATCH_DIR": folder | TEXT.map(lambda text: f"{home}/{text.replace('/', '_')}"),
            "JARVICE_JOB_GLOBAL_SCRATCH_DIR": folder,
            "JARVICE_SINGULARITY_TMPDIR": TEXT,
            "JARVICE_BAREMETAL_HTTP_PROXY": TEXT,
            "JARVICE_BAREMETAL_HTTPS_PROXY": TEXT,
            "JARVICE_BAREMETAL_NO_PROXY": TEXT,
            "JARVICE_SYSTEM_REGISTRY": TEXT,
            "JARVICE_SYSTEM_REPO_BASE": TEXT,
            "JARVICE_IMAGES_TAG": TEXT,
            "JARVICE_LOCAL_REGISTRY": st.just("") | LINE,
            "JARVICE_LOCAL_REPO_BASE": LINE,
            "JARVICE_REGISTRY_PROXY_PORT": st.sampled_from(["", "5000", "x"]),
            "JARVICE_REGISTRY_PROXY_REPOS": LINE,
            "JARVICE_JOB_GLOBAL_REGISTRIES": st.just("registry.example.com") | LINE,
            "JARVICE_DOCKER_USERNAME": TEXT.map(lambda text: b64encode(text.encode()).decode()) | LINE,
            "JARVICE_DOCKER_PASSWORD": TEXT.map(lambda text: b64encode(text.encode()).decode()),
            "JARVICE_DOWNSTREAM_MPI": st.just("pmix") | LINE,
            "JARVICE_SINGULARITY_VERBOSE": st.sampled_from(["true", "false"]),
            "JARVICE_SLURM_CONF": LINE,
        },
    )
