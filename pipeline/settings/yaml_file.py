"""YAML files that may hold secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path) -> Any:
    """The document in a file.

    Raises:
        ValueError: says why it cannot be read, without the text around a fault, which may be a secret.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ValueError(f"cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        raise ValueError("is not YAML" + (f" at line {mark.line + 1}" if mark else "")) from None
