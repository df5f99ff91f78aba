"""What a setting is: declared once, with its variable, kind, default and meaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.settings.kinds import Kind


@dataclass(frozen=True)
class Declaration:
    """What is known of one setting besides its value."""

    variable: str
    kind: Kind
    default: Any
    """As a person would write it; ``kind.read`` makes the value of it."""
    meaning: str
    group: str
    secret: bool = False


def setting(
    variable: str, kind: Kind, default: Any, meaning: str, *, group: str, secret: bool = False
) -> Any:
    """A field of a dataclass of settings."""
    declaration = Declaration(variable, kind, default, meaning, group, secret)
    return field(default=kind.read(default), repr=not secret, metadata={"declaration": declaration})
