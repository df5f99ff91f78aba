"""Where templates come from, and what a person is told of one that is wrong."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
)

from pipeline.errors import DownstreamError, TemplateFault
from pipeline.redaction import mask
from pipeline.shipped import folder


class SafeEnvironment(Environment):
    """Jinja2 for one language: a value that is not of its text type is made safe by ``finalize``.

    Blocks, macros and ``{% set %}`` blocks make text of that type, so ``{{ super() }}`` just works.
    """

    def __init__(self, site: Path | None, text: type[str], finalize: Callable[[Any], Any]) -> None:
        """The site's folder is searched first."""
        super().__init__(
            loader=_loader(site),
            undefined=StrictUndefined,
            finalize=finalize,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            extensions=["jinja2.ext.do"],
        )
        self.concat = lambda parts: text("".join(parts))  # type: ignore[method-assign]  # Jinja2's own hook


def _loader(site: Path | None) -> BaseLoader:
    """The site's folder first, then the shipped one; ``shipped/`` is always the shipped one."""
    shipped = FileSystemLoader(folder("templates"))
    loaders = [FileSystemLoader(site)] if site else []
    return ChoiceLoader([*loaders, PrefixLoader({"shipped": shipped}), shipped])


@contextmanager
def at_fault(template: str, job: str, secrets: Iterable[str]) -> Iterator[None]:
    """Whatever goes wrong while a template renders is told as an error of this job.

    Raises:
        TemplateFault: of everything that is no error for people already.
    """
    try:
        yield
    except DownstreamError as fault:
        raise fault.about(job) from fault.__cause__
    except Exception as fault:  # a template is a program and can fail in any way
        said = f"there is no template {fault.name}" if isinstance(fault, TemplateNotFound) else str(fault)
        raise TemplateFault(mask(f"template {_place(fault, template)}: {said}", secrets), job=job) from fault


def _place(fault: Exception, template: str) -> str:
    """The file and line of a template's fault, as far as Jinja2 tells; else the template's name."""
    frames = [
        f"{frame.filename} line {frame.lineno}"
        for frame in traceback.extract_tb(fault.__traceback__)
        if frame.filename.endswith(".j2")
    ]
    return frames[-1] if frames else template


def template_faults(environment: Environment, site: Path) -> list[str]:
    """One sentence for each template that cannot be read, and for each block that would be ignored.

    Jinja takes a block that the extended template does not have for a new one, which nothing shows.
    """
    faults: list[str] = []
    for file in sorted(site.rglob("*.j2")):
        try:
            tree = environment.parse(file.read_text(encoding="utf-8"))
        except TemplateSyntaxError as fault:
            faults.append(f"template {file} line {fault.lineno}: {fault.message}")
        except (OSError, UnicodeDecodeError) as fault:
            faults.append(f"template {file}: cannot be read: {fault}")
        else:
            faults += [f"template {file} {fault}" for fault in _unused_blocks(environment, tree)]
    return faults


def _unused_blocks(environment: Environment, tree: nodes.Template) -> list[str]:
    extended = [name for name in _parents(tree) if name.startswith("shipped/")]
    if not extended:
        return []
    if not _shipped(extended[0]).is_file():
        return [f"extends {extended[0]}, which is not there"]
    known = _blocks(environment, extended[0])
    faults = []
    for block in tree.body:
        if isinstance(block, nodes.Block) and block.name not in known:
            near = difflib.get_close_matches(block.name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            faults.append(f"line {block.lineno}: {extended[0]} has no block {block.name}; {hint}")
    return faults


def _blocks(environment: Environment, name: str) -> set[str]:
    """The blocks of a shipped template and of those that it extends."""
    tree = environment.parse(_shipped(name).read_text(encoding="utf-8"))
    return {block.name for block in tree.find_all(nodes.Block)}.union(
        *(_blocks(environment, parent) for parent in _parents(tree))
    )


def _parents(tree: nodes.Template) -> list[str]:
    return [
        node.template.value
        for node in tree.find_all(nodes.Extends)
        if isinstance(node.template, nodes.Const) and isinstance(node.template.value, str)
    ]


def _shipped(name: str) -> Path:
    return folder("templates") / name.removeprefix("shipped/")
