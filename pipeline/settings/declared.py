"""Every setting, declared once: its variable, kind, default and meaning.

``config/defaults.yaml``, ``schemas/settings.schema.json`` and the checks at the start all come
from here. A setting's key in a YAML file is its attribute's name. After a change::

    jarvice-downstream settings > config/defaults.yaml
    jarvice-downstream settings --schema > schemas/settings.schema.json

and ``docs/site-setup.md`` has a row for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.settings.bearers import BearerSettings
from pipeline.settings.cluster import ClusterSettings
from pipeline.settings.jobs import JobSettings
from pipeline.settings.service import ServiceSettings

NATIVE_MARK = ":"
"""At the end of the prefix of native jobs, in Slurm's names: the portal, which would end a job that it
does not know, never sees one."""


@dataclass(frozen=True)
class Settings(ClusterSettings, JobSettings, BearerSettings, ServiceSettings):
    """The settings of one downstream. Times are seconds. The last base comes first in documents."""

    def for_native_jobs(self) -> Settings:
        """The same settings, for who looks after native jobs and not after the portal's."""
        return replace(self, job_name_prefix=self.job_name_prefix + NATIVE_MARK)

    @property
    def are_for_native_jobs(self) -> bool:
        """Whether they are such settings: a site's own prefix never has the mark."""
        return self.job_name_prefix.endswith(NATIVE_MARK)

    @property
    def secrets_travel_alone(self) -> bool:
        """Whether a job's registry logins come in a file of their own, and not inside its batch script.

        Only where the submission can write into the job's control folder, as the owner.
        """
        return self.connector == "slurm" and self.slurm_interface == "cli"
