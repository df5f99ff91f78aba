"""Files that only their owner can read, as the service wants those with secrets to be."""

from __future__ import annotations

from pathlib import Path


def write_secret(file: Path, text: str) -> Path:
    """Write the text; the file is mode 600 before it holds any."""
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text, encoding="utf-8")
    return file
