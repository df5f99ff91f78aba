"""Clocks that are apart: what is answered to tokens from the past and from the future."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.forms import form, script
from tests.harness.interface import Interface
from tests.harness.oidc import IdentityProvider
from tests.harness.slurmrestd import token
from tests.torture.bed import Several, interfaces, service
from tests.torture.ledger import Ledger
from tests.torture.rounds import Round

_NEAR, _FAR = 30, 3600
"""Seconds that clocks may be apart (JARVICE_DOWNSTREAM_BEARER_LEEWAY is 60), and may not."""

SKEWS = {
    "right": {"iat": 0, "nbf": 0, "exp": 300},
    "a little slow": {"iat": -300, "nbf": -300, "exp": -_NEAR},
    "a little fast": {"iat": _NEAR, "nbf": _NEAR, "exp": 300},
    "an hour slow": {"iat": -2 * _FAR, "nbf": -2 * _FAR, "exp": -_FAR},
    "iat an hour fast": {"iat": _FAR, "nbf": 0, "exp": 2 * _FAR},
    "nbf an hour fast": {"iat": 0, "nbf": _FAR, "exp": 2 * _FAR},
}
"""The provider's clock, and the times in a token, as seconds from now."""


@dataclass
class Told:
    """What was answered through one interface."""

    interface: str
    answers: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The figures, for people."""
        return [f"{self.interface}, {skew}: {answer}" for skew, answer in self.answers.items()]


def clocks(interface: Interface, folder: Path) -> Told:
    """A submission with each of them. Through ``cli`` the downstream judges, through ``http`` Slurm does."""
    told, provider = Told(interface.name), IdentityProvider("https://login.example.com")
    keys = {"JARVICE_DOWNSTREAM_BEARER_KEYS": json.dumps(provider.jwks())} if interface.name == "cli" else {}
    ledger = Ledger(interface.cluster, "clocks")
    asked = service(interface, folder, keys)
    try:
        asked.start()
        for skew, times in SKEWS.items():
            now = int(time.time())
            claims = {claim: now + seconds for claim, seconds in times.items()}
            if interface.name == "cli":
                bearer = provider.key.sign({**provider.claims("kirby", "kirby@example.com"), **claims})
            else:
                bearer = token(interface.cluster, sun="kirby", **claims)
            name = ledger.new_name("kirby")
            reply = asked.post("/submit", form(script("echo"), name=name, held=True, bearer=bearer))
            told.answers[skew] = "an id" if reply.ok else f"{reply.status_code} {reply.json()['error']}"
            jobs = ledger.in_slurm().get(name, [])
            if reply.status_code not in (200, 401) or len(jobs) != reply.ok:
                told.broken.append(
                    f"{interface.name}, {skew}: {told.answers[skew]}, jobs in Slurm {len(jobs)}"
                )
            if interface.name == "cli" and reply.ok != (skew in ("right", "a little slow", "a little fast")):
                told.broken.append(f"cli, {skew}: {told.answers[skew]}")
    finally:
        asked.stop()
        ledger.clear()
    return told


def _run(size: int, seed: int, folder: Path) -> Several:
    """Either judge."""
    with interfaces("cli", "http") as ways:
        return Several([clocks(way, folder / way.name) for way in ways])


ROUND = Round(
    "clocks",
    "A token from another time is 401 with the reason, and clocks may be a little apart.",
    1,
    "time each",
    _run,
    needs_cluster=True,
)
