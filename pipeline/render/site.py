"""What is wrong with a site's templates before any job is rendered with them."""

from __future__ import annotations

import difflib
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError, nodes

from pipeline.shipped import folder


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
    parents = [
        node.template.value.removeprefix("shipped/")
        for node in tree.find_all(nodes.Extends)
        if isinstance(node.template, nodes.Const) and node.template.value.startswith("shipped/")
    ]
    if not parents:
        return []
    shipped = folder("templates") / parents[0]
    if not shipped.is_file():
        return [f"extends shipped/{parents[0]}, which is not there"]
    parent = environment.parse(shipped.read_text(encoding="utf-8"))
    known = {block.name for block in parent.find_all(nodes.Block)}
    faults = []
    for block in tree.body:
        if isinstance(block, nodes.Block) and block.name not in known:
            near = difflib.get_close_matches(block.name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            faults.append(f"line {block.lineno}: shipped/{parents[0]} has no block {block.name}; {hint}")
    return faults
