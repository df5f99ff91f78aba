"""From the wire to a ``Job``: forms, the keys of upstream scripts, devices, images; and native job specs."""

from pipeline.intake.form import read as read_form
from pipeline.intake.spec import read as read_spec

__all__ = ["read_form", "read_spec"]
