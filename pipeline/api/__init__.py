"""The door that the upstream comes through."""

from pipeline.api.app import create_app

__all__ = ["create_app"]
