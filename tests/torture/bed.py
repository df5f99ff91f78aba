"""What rounds on the throwaway cluster stand on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.cluster import Cluster
from tests.harness.interface import INTERFACES, SCRATCH, Interface
from tests.harness.service import Service
from tests.torture.rounds import Figures

USERS = ("kirby", "mario", "dovahkiin")


@contextmanager
def interfaces(*names: str) -> Iterator[list[Interface]]:
    """These ways into the cluster that JARVICE_TEST_CLUSTER names; nothing of their jobs stays."""
    cluster = Cluster.start(os.environ.get("JARVICE_TEST_CLUSTER", "trixie"))
    try:
        yield [INTERFACES[name](cluster) for name in names]
    finally:
        cluster.run("rm", "--recursive", "--force", SCRATCH)


def service(interface: Interface, folder: Path, settings: Mapping[str, str] | None = None) -> Service:
    """A service that is not started yet, in a new folder."""
    folder.mkdir(parents=True)
    interface.write_mapping(folder)
    return Service(folder, {**interface.settings, **(settings or {})})


@dataclass
class Several:
    """The figures of the parts of a round."""

    parts: Sequence[Figures] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All of them, one after the other."""
        return [line for part in self.parts for line in part.lines()]

    @property
    def broken(self) -> list[str]:
        """Those of all."""
        return [what for part in self.parts for what in part.broken]
