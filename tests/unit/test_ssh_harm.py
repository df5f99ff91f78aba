"""A network that does harm at any step of a command: it is done, or that it was not is told in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import Unavailable
from pipeline.transport import Limits
from tests.harness.fault_proxy import Fault, Harm, Way, fault_proxy
from tests.harness.ssh_server import SshServer
from tests.harness.waiting import within
from tests.unit.conftest import LOGIN, Connect

SECONDS = 2.0
STEPS = 12
"""Chunks each way, which are all of them and some more."""


@pytest.mark.parametrize("harm", [harm for harm in Harm if harm is not Harm.DELAY])
def test_no_harm_keeps_who_asks_waiting(
    connect: Connect, server: SshServer, harm: Harm, tmp_path: Path
) -> None:
    known = tmp_path / "every-port"  # else each port's key is written down first, one after the other
    known.write_text(f"[127.0.0.1]:* {server.host_key.get_name()} {server.host_key.get_base64()}\n")

    def one(fault: Fault) -> None:
        """A command is done, or has failed."""
        with fault_proxy("127.0.0.1", server.port) as proxy:
            proxy.harm(fault)
            transport = connect(port=proxy.port, connect_timeout=SECONDS / 2, known_hosts=known)
            told = ""
            with within(SECONDS + 2):
                try:
                    assert transport.run(LOGIN, "echo done", Limits(SECONDS), b"input").stdout == b"done\n"
                except Unavailable as unwell:
                    told = unwell.message
            assert not told or proxy.harmed
            assert "refused" not in told

    faults = [Fault(harm, way, chunk) for way in Way for chunk in range(STEPS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, faults))


def test_what_comes_late_is_waited_for(connect: Connect, server: SshServer) -> None:
    with fault_proxy("127.0.0.1", server.port) as proxy:
        proxy.harm(Fault(Harm.DELAY, Way.BACK, 1))
        transport = connect(port=proxy.port)
        assert transport.run(LOGIN, "echo done", Limits(8)).stdout == b"done\n"
        assert proxy.harmed == 1
