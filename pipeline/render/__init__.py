"""From a ``Job`` to the bytes that are sent. Pure: files are read, nothing is written or run."""

from pipeline.render.batch import BatchScript, Renderer
from pipeline.render.payload import Payload, PayloadRenderer

__all__ = ["BatchScript", "Payload", "PayloadRenderer", "Renderer"]
