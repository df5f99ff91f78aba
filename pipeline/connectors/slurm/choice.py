"""Which way in and which management the settings name."""

from __future__ import annotations

from dataclasses import replace

from pipeline.connectors.protocol import Connector
from pipeline.connectors.slurm.cluster_host import ClusterHost, check_entry, check_owners, entry_of, host_of
from pipeline.connectors.slurm.homes import Homes, HomesByHost, HomesByPattern
from pipeline.connectors.slurm.management_by_commands import ManagementByCommands
from pipeline.connectors.slurm.management_by_slurmrestd import ManagementBySlurmrestd
from pipeline.connectors.slurm.owners_files import AsTheEntryUser, AsTheOwner
from pipeline.connectors.slurm.slurmrestd import Slurmrestd
from pipeline.connectors.slurm.submission_by_sbatch import SubmissionBySbatch
from pipeline.connectors.slurm.submission_by_slurmrestd import SubmissionBySlurmrestd
from pipeline.errors import SettingsFault
from pipeline.identity import MappingFile, Users, UsersMapping
from pipeline.job import JobStatus
from pipeline.render import PayloadRenderer
from pipeline.settings import Settings
from pipeline.transport.ssh import Tunnel


def slurm_connector(settings: Settings) -> Connector:
    """The connector to a Slurm cluster.

    Raises:
        SettingsFault: what it needs is not there or cannot be used.
    """
    if settings.slurm_interface == "http":
        return by_slurmrestd(settings)
    faults: list[str] = []
    users: Users = UsersMapping({})
    try:
        users = MappingFile(
            settings.users_id_mapping, keys_needed=not settings.slurm_ssh_ca_key, check=check_owners
        )
    except SettingsFault as fault:
        faults += fault.faults
    try:
        connector = by_sbatch(settings, users)
    except SettingsFault as fault:
        faults += fault.faults
    if faults:
        raise SettingsFault(faults)
    return connector


def by_sbatch(settings: Settings, users: Users) -> Connector:
    """The ``cli`` interface. Raises SettingsFault when the entry user has no key that can be used."""
    host = ClusterHost(settings)
    files = AsTheOwner(settings, users)
    return Connector(
        SubmissionBySbatch(host, users, settings.bearer_mail_claim),
        ManagementByCommands(settings, host, files),
    )


def by_slurmrestd(settings: Settings) -> Connector:
    """The ``http`` interface: managed with Slurm's commands, or with a service token without any SSH.

    Raises:
        SettingsFault: the private key, the API version or a template of the site cannot be used.
    """
    payloads = _payloads(settings)
    entry = entry_of(settings)
    api = Slurmrestd(
        settings,
        Tunnel(host_of(settings), replace(entry, forwards=True))
        if settings.slurmrestd_route == "ssh"
        else None,
    )
    homes: Homes = HomesByPattern(settings.slurm_user_home)
    management: ManagementBySlurmrestd | ManagementByCommands
    if settings.slurm_service_token:
        management = ManagementBySlurmrestd(settings, api, settings.slurm_service_token)
    else:
        host = ClusterHost(settings)
        homes = homes if settings.slurm_user_home else HomesByHost(host)
        files = AsTheEntryUser(entry, settings, homes)
        management = ManagementByCommands(settings, host, files)
    submission = SubmissionBySlurmrestd(
        api,
        payloads,
        homes,
        user_claims=settings.slurmrestd_user_claim,
        jobs_of=management.jobs_of,
        ended=management.search if settings.are_for_native_jobs else _none_of_name,
        end=management.terminate,
    )
    return Connector(submission, management)


def _none_of_name(name: str) -> list[JobStatus]:
    """A portal gives each job a name of its own: there is none to be found in accounting."""
    return []


def _payloads(settings: Settings) -> PayloadRenderer:
    """Raises SettingsFault for all that the start has to look at: templates, API version, private keys."""
    faults: list[str] = []
    try:
        if settings.uses_ssh:
            check_entry(settings)
    except SettingsFault as fault:
        faults += fault.faults
    try:
        payloads = PayloadRenderer(settings)
    except SettingsFault as fault:
        faults += fault.faults
    if faults:
        raise SettingsFault(faults)
    return payloads
