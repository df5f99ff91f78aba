"""Files with a job, as YAML or JSON: a native spec, or an upstream's form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InvalidJob, InvalidRequest
from pipeline.job import Job
from pipeline.prepare import Preparer

_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class JobFile:
    """What a file says of a job."""

    content: Mapping[str, Any] = field(repr=False)
    lines: Mapping[str, int]
    """Where a field stands, ``mounts.0.source``, as far as that is known."""

    @property
    def is_form(self) -> bool:
        """Whether it is an upstream's form: only these have scripts that do all that containers need."""
        return "hpc_script" in self.content

    def check(self, preparer: Preparer) -> Job:
        """The job that it describes. Raises InvalidJob, which names the field."""
        return preparer.check(self.content) if self.is_form else preparer.check_spec(self.content)

    def changed(self, **fields: object) -> JobFile:
        """The same with some fields set, wherever else they come from."""
        lines = {name: line for name, line in self.lines.items() if name not in fields}
        return replace(self, content={**self.content, **fields}, lines=lines)

    @contextmanager
    def placing_faults(self) -> Iterator[None]:
        """A fault of a field in here is told with the line that it stands in."""
        try:
            yield
        except InvalidJob as fault:
            line = self._line_of(fault.field)
            if line is None:
                raise
            raise InvalidRequest(f"line {line}: {fault.message}", job=fault.job) from None

    def _line_of(self, name: str) -> int | None:
        """The line of a field, or of what holds it."""
        while name and name not in self.lines:
            name = name.rpartition(".")[0]
        return self.lines.get(name)


def read_job_file(path: Path) -> JobFile:
    """What is in a file; nothing in it is carried out.

    Raises:
        InvalidRequest: it cannot be read, with the line that is at fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise InvalidRequest(f"cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidRequest("is not UTF-8 text") from None
    found = _from_json(text) or _from_yaml(text)
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
    except (ValueError, RecursionError) as fault:
        reason = "it is nested too deeply" if isinstance(fault, RecursionError) else str(fault)
        raise InvalidRequest(f"is neither YAML nor JSON: {reason}") from None


class _Loader(yaml.SafeLoader):
    """Plain values only, each written where it stands: a few lines of aliases can mean gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"an alias, *{event.anchor}, is not taken", event.start_mark
            )
        return super().compose_node(parent, index)


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
