"""The ways a job can go, each a ``Connector`` of two halves: submission and management."""

from __future__ import annotations

from pipeline.connectors.local import Local
from pipeline.connectors.protocol import Connector
from pipeline.connectors.slurm import slurm_connector
from pipeline.settings import Settings

__all__ = ["Connector", "connector_for"]


def connector_for(settings: Settings) -> Connector:
    """The connector that the settings name.

    Raises:
        SettingsFault: what the connector needs is not there or cannot be used.
    """
    if settings.connector == "local":
        local = Local(settings)
        return Connector(local, local)
    return slurm_connector(settings)
