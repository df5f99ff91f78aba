"""The example forms are what their maker makes of the scripts beside them."""

from __future__ import annotations

import importlib.util
import json
from types import ModuleType

import pytest

from tests.golden.cases import EXAMPLES


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_forms", EXAMPLES / "make_forms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = _maker()


@pytest.mark.parametrize("example", sorted(MAKER.FORMS))
def test_a_form_holds_the_script_beside_it(example: str) -> None:
    written = json.loads((EXAMPLES / f"{example}.json").read_text(encoding="utf-8"))
    assert written == MAKER.form(example), "run python3 examples/upstream/make_forms.py"


def test_there_is_a_form_for_every_script_and_no_other() -> None:
    forms = {file.stem for file in EXAMPLES.glob("*.json")}
    scripts = {file.stem for file in (EXAMPLES / "scripts").glob("*.sh")}
    assert forms == scripts == set(MAKER.FORMS)
