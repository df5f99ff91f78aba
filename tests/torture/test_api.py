"""A small part of what ``./run torture api`` does."""

from __future__ import annotations

from pathlib import Path

from tests.torture import api


def test_the_service_answers_as_its_document_says(tmp_path: Path) -> None:
    table = api.run(3, 1, tmp_path)
    assert not table.broken, "\n".join(table.broken)
    assert len(table.figures) == 2
