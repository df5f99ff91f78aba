"""From a ``Job`` to the bytes that are sent. Pure: files are read, nothing is written or run."""

from pipeline.render.batch import BatchScript, Renderer, mask

__all__ = ["BatchScript", "Renderer", "mask"]
