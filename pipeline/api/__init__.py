"""The door that the upstream comes through."""

from pipeline.api.app import MOST_BODY_BYTES, create_app

__all__ = ["MOST_BODY_BYTES", "create_app"]
