"""What every command needs that talks to a cluster: settings that allow it, and a connector."""

from __future__ import annotations

from pipeline import settings
from pipeline.connectors import Connector, connector_for
from pipeline.errors import SettingsFault
from pipeline.settings import Reading, Settings


def connect(reading: Reading, chosen: Settings) -> tuple[Connector | None, list[str]]:
    """The connector of these settings, and all that stops a start; without faults there is a connector."""
    faults = [*reading.faults, *settings.service_faults(reading)]
    try:
        chosen.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        faults.append(f"JARVICE_DOWNSTREAM_STATE_DIR: cannot make {chosen.state_dir}: {fault.strerror}")
    try:
        return connector_for(chosen), faults
    except SettingsFault as fault:
        return None, [*faults, *fault.faults]
