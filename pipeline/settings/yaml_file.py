"""YAML files that may hold secrets."""

from __future__ import annotations

from typing import Any

import yaml


def parse_yaml(data: bytes) -> Any:
    """The document in a file's bytes.

    Raises:
        ValueError: says why it cannot be read, without the text around a fault, which may be a secret.
    """
    try:
        return yaml.safe_load(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except yaml.YAMLError as fault:
        raise ValueError("is not YAML" + _place(fault)) from None


def _place(fault: yaml.YAMLError) -> str:
    """Where it is, and in what: an open quote is noticed at the end of the file."""
    if not isinstance(fault, yaml.MarkedYAMLError) or not fault.problem_mark:
        return ""
    place = f" at line {fault.problem_mark.line + 1}"
    # What scanner and parser call their contexts holds nothing of the text.
    if isinstance(fault, yaml.scanner.ScannerError | yaml.parser.ParserError) and fault.context_mark:
        place += f", {fault.context} that begins at line {fault.context_mark.line + 1}"
    return place
