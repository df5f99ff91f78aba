"""What the upstream sends is what runs, byte for byte, and however much it prints is bounded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.service import Sent, Service
from tests.harness.waiting import eventually

MIB = 1024 * 1024

BODIES: dict[str, str] = {
    "quotes": """printf '%s\\n' 'it'"'"'s' "say \\"so\\"" $'a\\'b' "\\\\" """,
    "here-documents": "cat <<'END_OF_SCRIPT'\n{{ braces }} {% raw %} $(false)\nEND_OF_SCRIPT\ncat <<EOF\nEOF",
    "braces": "x=${PROCESS_PROCID}; f() { echo \"{$x}\" {a,b}; }; f; echo '{DOWNSTREAM_PARAMETERS}' {{}}",
    "UTF-8": "echo 'Grüße, мир, 世界 \U0001f44b \u2028 \ufeff'",
    "substitutions": "echo $(echo `echo $((1 + 1))` \"$(printf '%s' \\#)\")",
    "CRLF": "echo 'line one\r\nline two' #\r\n: #\r\n",
    "3 MiB": "# \u00e9'\"{}$(`\n" * (3 * MIB // 13),
    "no line break at the end": "echo the end",
    "many line breaks at the end": "echo the end\n\n\n",
    "tabs and control characters": "echo '\t\x01\x1b[31m\x7f'\t",
}


def hashing(body: str) -> str:
    """A script that prints the hash of its own last part, the body, and then runs it."""
    size = len(body.encode("utf-8"))
    return script(f'tail --bytes={size} "$0" | sha256sum #\n{body}').removesuffix("\n")


@pytest.fixture(scope="module")
def sent(service: Service) -> Mapping[str, Sent]:
    return {what: service.submit(form(hashing(body))) for what, body in BODIES.items()}


@pytest.mark.parametrize("what", BODIES)
def test_a_script_arrives_byte_for_byte(what: str, sent: Mapping[str, Sent], service: Service) -> None:
    ended = service.exit_of(sent[what])
    assert ended.code == 0, ended.output
    assert ended.output.split()[0] == sha256(BODIES[what].encode("utf-8")).hexdigest()


def test_an_exit_status_comes_with_the_last_10_000_lines(service: Service) -> None:
    ended = service.exit_of(service.submit(form(script("seq 30000; printf 'no line break: \\377'"))))
    lines = ended.output.split("\n")
    assert (len(lines), lines[0], lines[-1]) == (10_000, "20002", "no line break: \ufffd")


def peak_memory(pid: int) -> int:
    """The most bytes of memory that a process has used so far; 0 of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def processes_of(job: Sent) -> dict[int, str]:
    """Pid and name of each process that runs with the job's id in its environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"SLURM_JOB_ID={job.job_id}\0".encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "comm").read_text(encoding="utf-8").strip()
        except OSError:  # it has ended
            continue
    return found


def test_500_mb_of_output_leave_the_memory_of_service_and_job_flat(
    own_service: Callable[..., Service], interface: Interface
) -> None:
    service = own_service(JARVICE_DOWNSTREAM_OUTPUT_LIMIT=str(MIB))
    before = service.exit_of(service.submit(form(script("echo JARVICE_CMD_SUCCESS"))))
    assert before.code == 0
    service_before = peak_memory(service.pid)
    job = service.submit(form(script(
        f"yes '{'x' * 999}' | head --lines=500000; echo printed; "
        'until [ -e "${0%/*}/go" ]; do sleep 0.1; done; echo JARVICE_CMD_SUCCESS'
    )))  # fmt: skip
    eventually(lambda: service.tail(job, 1) == "printed\n", what="500 MB of output")
    [log] = [file for file in interface.files("kirby", job.name) if file.suffix == ".out"]
    assert log.stat().st_size > 500_000_000
    processes = processes_of(job)
    assert {"slurm_script", "bash", "tee", "tail"} <= set(processes.values())
    peaks = [(name, peak_memory(pid)) for pid, name in processes.items()]
    assert all(peak < 20 * MIB for _, peak in peaks), peaks

    control = log.parent / "control" / job.name
    (control / "go").touch()
    os.chown(control / "go", control.stat().st_uid, control.stat().st_gid)
    ended = service.exit_of(job)
    assert ended.code == 0
    assert ended.output.endswith(f"{'x' * 999}\nprinted\nJARVICE_CMD_SUCCESS\n")
    assert MIB * 0.9 < len(ended.output) <= MIB
    assert log.exists() is not interface.removes_files
    assert peak_memory(service.pid) - service_before < 20 * MIB
