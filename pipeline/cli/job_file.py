"""Files with a job, as YAML or JSON: a native spec, or an upstream's form."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import yaml

from pipeline.errors import CallerError, InvalidJob, InvalidRequest
from pipeline.job import Job
from pipeline.prepare import Preparer

_TEXT = "tag:yaml.org,2002:str"

_OTHER_THAN_TEXT = {
    "null": (r"|~|null|Null|NULL", ["", "~", "n", "N"]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"-?(0|[1-9][0-9]{0,18})", list("-0123456789")),
}
"""Plain values that mean something else than what is written, and what they can begin with."""

_DEEPEST = 32
"""Levels of lists and fields in a file; what comes after this counts on there being few."""
_TOO_DEEP = "is nested too deeply"


@dataclass(frozen=True)
class FileArgument:
    """A FILE of the command line; ``-`` is standard input."""

    given: str

    def __str__(self) -> str:
        """What messages call it."""
        return "standard input" if self.given == "-" else self.given

    def read(self) -> bytes:
        """All that is in it. Raises OSError."""
        if self.given != "-":
            return Path(self.given).read_bytes()
        if sys.stdin is None:  # what Python makes of one that is closed
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return sys.stdin.buffer.read()


FILE = click.Path(path_type=FileArgument, allow_dash=True)
"""The type of such an argument."""


@dataclass(frozen=True)
class JobFile:
    """What a file says of a job."""

    content: Mapping[str, Any] = field(repr=False)
    lines: Mapping[str, int]
    """Where a field stands, ``mounts.0.source``, as far as that is known."""
    options: frozenset[str] = frozenset()
    """Fields that the command line has set, by options that are called as they are."""

    @property
    def is_form(self) -> bool:
        """Whether it is an upstream's form: only these have scripts that do all that containers need."""
        return "hpc_script" in self.content

    @property
    def is_held(self) -> bool:
        """Whether it is a spec of a job that waits for its release, if there is nothing wrong with it."""
        sbatch = self.content.get("sbatch")
        return self.content.get("held") is True or (isinstance(sbatch, dict) and "hold" in sbatch)

    def check(self, preparer: Preparer) -> Job:
        """The job that it describes. Raises InvalidJob, which names the field."""
        return preparer.check(self.content) if self.is_form else preparer.check_spec(self.content)

    def with_options(self, **fields: object) -> JobFile:
        """The same with some fields set by options of the command line."""
        return replace(self, content={**self.content, **fields}, options=self.options | fields.keys())

    def placed(self, fault: InvalidJob) -> CallerError:
        """A fault of a field in here, with the line that it stands in."""
        line = self._line_of(fault.field)
        return InvalidRequest(f"line {line}: {fault.message}", job=fault.job) if line else fault

    def _line_of(self, name: str) -> int | None:
        """The line of a field, or of what holds it."""
        while name and name not in self.lines:
            name = name.rpartition(".")[0]
        return self.lines.get(name)


def read_job_file(file: FileArgument) -> JobFile:
    """What is in a file; nothing in it is carried out.

    Raises:
        InvalidRequest: it cannot be read, with the line that is at fault.
    """
    try:
        text = file.read().decode("utf-8")
    except OSError as fault:
        raise InvalidRequest(f"cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidRequest("is not UTF-8 text") from None
    found = _from_json(text) or _from_yaml(text)
    if _is_deeper(found.content, _DEEPEST):
        raise InvalidRequest(_TOO_DEEP)
    if not isinstance(found.content, dict):
        raise InvalidRequest("is not a job: a job has fields with values, such as `name: hello`")
    return found


def _from_json(text: str) -> JobFile | None:
    """JSON as JSON reads it, which YAML takes for the same but for tabs and some characters."""
    twice: list[str] = []

    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice.extend(name for name in names if names.count(name) > 1)
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=once_each)
    except (ValueError, RecursionError):
        return None
    if isinstance(content, dict) and "hpc_script" in content:
        return JobFile(content, {})
    if twice:
        raise InvalidRequest(f"the field {twice[0]!r} is there twice")
    try:
        return JobFile(content, _from_yaml(text).lines)
    except InvalidRequest:
        return JobFile(content, {})


def _from_yaml(text: str) -> JobFile:
    try:
        loader = _Loader(text)
        document = loader.get_single_node()
        if document is None:
            raise InvalidRequest("is empty")
        lines = dict(_lines(document))
        return JobFile(loader.construct_document(document), lines)
    except yaml.YAMLError as fault:
        raise InvalidRequest(f"is neither YAML nor JSON: {_said(fault)}") from None
    except RecursionError:
        raise InvalidRequest(_TOO_DEEP) from None
    except (ValueError, OverflowError):  # PyYAML's, of "\\U00110000"
        raise InvalidRequest("is neither YAML nor JSON: an escape in it stands for no character") from None


class _Loader(yaml.SafeLoader):
    """Plain values only, each written where it stands: a few lines of aliases can mean gigabytes.

    What a value means is told by YAML 1.2: to 1.1, PyYAML's, 1:30:00 is 5400, 010 is 8 and no is false.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own place for what follows this class

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped
        refused = ""
        if isinstance(event, yaml.AliasEvent):
            refused = f"an alias, *{event.anchor}"
        elif event.tag:
            refused = f"a tag, {event.tag}"
        if refused:
            raise yaml.composer.ComposerError(None, None, f"{refused}, is not taken", event.start_mark)
        return super().compose_node(parent, index)


for _tag, (_form, _beginnings) in _OTHER_THAN_TEXT.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_form})\Z"), _beginnings)


def _is_deeper(part: Any, levels: int) -> bool:
    """Whether there is more in it than this many levels."""
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return bool(inner) and (levels == 0 or any(_is_deeper(one, levels - 1) for one in inner))


def _lines(node: yaml.Node, within: str = "") -> Iterator[tuple[str, int]]:
    """The line of every field. Raises InvalidRequest for a name that is no text or is there twice."""
    if isinstance(node, yaml.SequenceNode):
        for number, part in enumerate(node.value):
            yield f"{within}.{number}", part.start_mark.line + 1
            yield from _lines(part, f"{within}.{number}")
    if not isinstance(node, yaml.MappingNode):
        return
    names = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag != _TEXT:
            shown = f" {key.value!r}" if isinstance(key, yaml.ScalarNode) else ""
            raise InvalidRequest(f"line {line}: the name{shown} of a field is not a text; it needs quotes")
        if key.value in names:
            raise InvalidRequest(f"line {line}: the field {key.value!r} is there twice")
        names.add(key.value)
        name = f"{within}.{key.value}" if within else key.value
        yield name, line
        yield from _lines(value, name)


def _said(fault: yaml.YAMLError) -> str:
    """Where it is, and what."""
    mark = getattr(fault, "problem_mark", None)
    problem = getattr(fault, "problem", None) or str(fault).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem
