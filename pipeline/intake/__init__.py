"""From the wire to a ``Job``: forms, the keys of upstream scripts, devices, images."""

from pipeline.intake.form import read

__all__ = ["read"]
