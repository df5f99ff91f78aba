"""From the text of a bearer token to one that may be believed."""

from pipeline.bearers.accepted import Bearers, Unverified, bearers_for

__all__ = ["Bearers", "Unverified", "bearers_for"]
