"""The settings: what they are (``declared``), where they come from (``load``), their documents."""

from pipeline.settings.declared import Settings
from pipeline.settings.load import check_service, load, warn_unknown

__all__ = ["Settings", "check_service", "load", "warn_unknown"]
