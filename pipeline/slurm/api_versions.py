"""The versions of slurmrestd's API that the downstream speaks."""

from __future__ import annotations

API_VERSIONS = tuple(f"v0.0.{number}" for number in range(45, 37, -1))
"""Newest first. Slurm 22.05 serves up to v0.0.38, 23.02 .39, and each release since then one more."""
