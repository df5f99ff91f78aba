"""Which way in and which management the settings name."""

from __future__ import annotations

from pipeline.connectors.protocol import Connector
from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.connectors.slurm.management_by_commands import ManagementByCommands
from pipeline.connectors.slurm.owners_files import AsTheOwner
from pipeline.connectors.slurm.submission_by_sbatch import SubmissionBySbatch
from pipeline.errors import SettingsFault
from pipeline.identity import UsersMapping, read_mapping
from pipeline.settings import Settings


def slurm_connector(settings: Settings) -> Connector:
    """The connector to a Slurm cluster.

    Raises:
        SettingsFault: the users id mapping cannot be read, or a private key cannot be used.
    """
    faults: list[str] = []
    users = UsersMapping({})
    try:
        users = read_mapping(settings.users_id_mapping)
    except SettingsFault as fault:
        faults += fault.faults
    try:
        connector = by_sbatch(settings, users)
    except SettingsFault as fault:
        faults += fault.faults
    if faults:
        raise SettingsFault(faults)
    return connector


def by_sbatch(settings: Settings, users: UsersMapping) -> Connector:
    """The ``cli`` interface. Raises SettingsFault when a private key cannot be used."""
    host = ClusterHost(settings, users.owners())
    files = AsTheOwner(settings.job_scratch_dir, users)
    return Connector(SubmissionBySbatch(host, users), ManagementByCommands(settings, host, files))
