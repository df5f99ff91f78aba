"""The ways a job can go, behind one ``Connector`` protocol."""

from __future__ import annotations

from pipeline.connectors.local import Local
from pipeline.connectors.protocol import Connector
from pipeline.connectors.slurm_cli import SlurmCli
from pipeline.identity import read_mapping
from pipeline.settings import Settings

__all__ = ["Connector", "connector_for"]


def connector_for(settings: Settings) -> Connector:
    """The connector that the settings name.

    Raises:
        SettingsFault: the users id mapping cannot be read.
    """
    if settings.connector == "local":
        return Local(settings)
    return SlurmCli(settings, read_mapping(settings.users_id_mapping))
