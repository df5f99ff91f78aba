"""The ways a job can go, behind one ``Connector`` protocol."""

from __future__ import annotations

from pipeline.connectors.local import Local
from pipeline.connectors.protocol import Connector
from pipeline.connectors.slurm_cli import SlurmCli
from pipeline.errors import SettingsFault
from pipeline.identity import UsersMapping, read_mapping
from pipeline.settings import Settings

__all__ = ["Connector", "connector_for"]


def connector_for(settings: Settings) -> Connector:
    """The connector that the settings name.

    Raises:
        SettingsFault: the users id mapping cannot be read, or a private key cannot be used.
    """
    if settings.connector == "local":
        return Local(settings)
    faults: list[str] = []
    users = UsersMapping({})
    try:
        users = read_mapping(settings.users_id_mapping)
    except SettingsFault as fault:
        faults += fault.faults
    try:
        connector = SlurmCli(settings, users)
    except SettingsFault as fault:
        faults += fault.faults
    if faults:
        raise SettingsFault(faults)
    return connector
