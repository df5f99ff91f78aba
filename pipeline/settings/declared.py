"""Every setting, declared once: its variable, kind, default and meaning.

``config/defaults.yaml``, ``schemas/settings.schema.json`` and the checks at the start all come
from here. A setting's key in a YAML file is its attribute's name. After a change::

    jarvice-downstream settings > config/defaults.yaml
    jarvice-downstream settings --schema > schemas/settings.schema.json

and ``docs/site-setup.md`` has a row for each.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.settings.cluster import ClusterSettings
from pipeline.settings.jobs import JobSettings
from pipeline.settings.service import ServiceSettings


@dataclass(frozen=True)
class Settings(ClusterSettings, JobSettings, ServiceSettings):
    """The settings of one downstream. Times are seconds. The last base comes first in documents."""
