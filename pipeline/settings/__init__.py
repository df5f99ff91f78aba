"""The settings: what they are (``declared``), where they come from (``load``), their documents."""

from pipeline.settings.declared import NATIVE_MARK, Settings
from pipeline.settings.exposure import exposure_faults, warn_exposed
from pipeline.settings.load import (
    Reading,
    load,
    read,
    service_faults,
    warn_unencrypted,
    warn_unknown,
)

__all__ = [
    "NATIVE_MARK",
    "Reading",
    "Settings",
    "exposure_faults",
    "load",
    "read",
    "service_faults",
    "warn_exposed",
    "warn_unencrypted",
    "warn_unknown",
]
