"""Secrets blanked out of what a person reads."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pipeline import shell

MASK = "********"


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret blanked out, also as it is spelled inside bash, JSON, and bash in JSON."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        spellings = {secret, shell.quote(secret)}
        for spelling in spellings | {json.dumps(one)[1:-1] for one in spellings}:
            text = text.replace(spelling, MASK)
    return text
