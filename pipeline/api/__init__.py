"""The door that the upstream comes through."""

from pipeline.api.app import MOST_BODY_BYTES, create_app
from pipeline.api.limits import Doorkeeper

__all__ = ["MOST_BODY_BYTES", "Doorkeeper", "create_app"]
