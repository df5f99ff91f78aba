"""Who can reach the service, and what that allows them."""

from __future__ import annotations

import logging

from pipeline.settings.addresses import authority_faults, is_loopback
from pipeline.settings.declared import Settings
from pipeline.settings.load import Reading

_log = logging.getLogger(__name__)

_WAY_OUT = "set JARVICE_DOWNSTREAM_BEARER_KEYS_URL or JARVICE_DOWNSTREAM_BEARER_KEYS_FILE"


def exposure_faults(reading: Reading) -> list[str]:
    """What stops a service from taking tokens as these settings have it; commands of one user take none."""
    settings = reading.settings
    faults: list[str] = []
    if settings.bearer_keys_url and settings.bearer_keys:
        faults.append(
            "JARVICE_DOWNSTREAM_BEARER_KEYS_URL and JARVICE_DOWNSTREAM_BEARER_KEYS (or its _FILE) are both "
            "set; unset one"
        )
    faults += authority_faults("JARVICE_DOWNSTREAM_BEARER_CA_FILE", settings.bearer_ca_file)
    if settings.verifies_bearers and settings.bearer_unverified:
        faults.append(
            "JARVICE_DOWNSTREAM_BEARER_UNVERIFIED is set, and so are keys that tokens are verified with; "
            "unset one"
        )
    if settings.verifies_bearers or reading.unread & {"bearer_keys_url", "bearer_keys"}:
        return faults
    for variable, demanded in (
        ("JARVICE_DOWNSTREAM_BEARER_ISSUER", settings.bearer_issuer),
        ("JARVICE_DOWNSTREAM_BEARER_AUDIENCE", settings.bearer_audience),
    ):
        if demanded:
            faults.append(f"{variable} is set, and no keys to verify tokens with are; {_WAY_OUT}")
    # The local connector has a fault of its own for such an address, and no way out.
    if settings.connector != "local" and not settings.bearer_unverified and _is_open(settings):
        faults.append(
            f"WAITRESS_BIND_ADDRESS: {settings.bind_address!r} is not a loopback address, and bearer tokens "
            f"are not verified: whoever reaches it {_allowed(settings)}; {_WAY_OUT}, or listen on "
            "127.0.0.1. JARVICE_DOWNSTREAM_BEARER_UNVERIFIED=true starts the service all the same"
        )
    return faults


def warn_exposed(settings: Settings) -> None:
    """Say loudly what those can do who reach the service."""
    where = f"the service listens on {settings.bind_address}"
    if not settings.server_key and _is_open(settings):
        _log.warning(
            "%s without JARVICE_SCHED_SERVER_KEY: whoever reaches it can read and end the jobs of all users",
            where,
        )
    if settings.connector == "local":
        return
    if settings.verifies_bearers:
        if not settings.bearer_audience:
            _log.warning(
                "JARVICE_DOWNSTREAM_BEARER_AUDIENCE is not set: whoever gets hold of a token that another "
                "client of the identity provider was given can submit jobs as its user"
            )
    elif settings.bearer_unverified or _is_open(settings):
        _log.warning(
            "JARVICE_DOWNSTREAM_BEARER_UNVERIFIED is set and %s: bearer tokens are not verified, and whoever "
            "reaches it %s",
            where, _allowed(settings),
        )  # fmt: skip
    elif settings.slurm_interface == "cli":
        _log.warning(
            "bearer tokens are not verified: who reaches the service from this machine %s; %s",
            _allowed(settings), _WAY_OUT,
        )  # fmt: skip


def _allowed(settings: Settings) -> str:
    if settings.slurm_interface == "cli":
        return "can run jobs as any mapped user"
    return "can get the scripts of jobs that any user has sent"  # to send new ones Slurm verifies the token


def _is_open(settings: Settings) -> bool:
    return not is_loopback(settings.bind_address)
