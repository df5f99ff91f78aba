"""Jobs on this machine, for a first try."""

from pipeline.connectors.local.connector import Local

__all__ = ["Local"]
