"""JSON templates: a value is JSON, whatever it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from jinja2.exceptions import TemplateRuntimeError

from pipeline.render.json_environment import json_environment
from tests.harness.text import HOSTILE_TEXT

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | HOSTILE_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HOSTILE_TEXT, inner, max_size=4),
)


def rendered(template: str, **values: Any) -> str:
    return json_environment(None).from_string(template).render(values)


@given(VALUES)
def test_every_value_arrives_as_it_is(value: Any) -> None:
    assert json.loads(rendered("{{ v }}", v=value)) == value
    assert json.loads(rendered('{"a": [{{ v }}, {{ "x" }}]}', v=value)) == {"a": [value, "x"]}


@given(HOSTILE_TEXT, HOSTILE_TEXT)
def test_every_text_is_one_text_in_every_place(one: str, two: str) -> None:
    field = "{% macro field(name, value) %}{{ name }}: {{ value }}{% endmacro %}"
    assert json.loads(rendered(field + "{ {{ field(one, two) }} }", one=one, two=two)) == {one: two}
    assert json.loads(rendered("{% set x %}{{ v }}{% endset %}{{ x }}", v=one)) == one
    assert json.loads(rendered("{% block b %}{{ v }}{% endblock %}", v=one)) == one
    assert json.loads(rendered("{{ one ~ two }}", one=one, two=two)) == one + two
    assert json.loads(rendered("{% for v in vs %}{{ v | upper }}{% endfor %}", vs=[one])) == one.upper()


def test_verbatim_is_json_already_and_a_changed_one_is_text_again() -> None:
    assert rendered("{{ v | verbatim }}", v='{"a": 1}') == '{"a": 1}'
    assert rendered("{{ v | verbatim | upper }}", v='"a"') == '"\\"A\\""'


def test_constants_and_numbers() -> None:
    assert rendered("{{ 1 }} {{ 'a' }} {{ true }} {{ none }} {{ 1.5 }}") == '1 "a" true null 1.5'


def test_assignments() -> None:
    assert json.loads(rendered("{{ {'A': 1, 'B': 'x y'} | assignments }}")) == ["A=1", "B=x y"]


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", float("nan"), [float("inf")], {"a": {1}}])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TemplateRuntimeError):
        rendered("{{ v }}", v=value)


def test_an_inline_if_without_else_is_refused() -> None:
    with pytest.raises(TemplateRuntimeError):
        rendered("{{ 'a' if false }}")


@pytest.mark.parametrize("template", ["{{ nope }}", "{{ v.nope }}", "{{ [nope] }}", "{{ {'a': nope} }}"])
def test_an_unknown_variable_is_refused(template: str) -> None:
    with pytest.raises(UndefinedError, match="nope"):
        rendered(template, v={"a": 1})


def test_a_site_template_comes_first_and_can_extend_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "slurmrestd").mkdir()
    (tmp_path / "slurmrestd" / "job.json.j2").write_text('{% extends "shipped/slurmrestd/job.json.j2" %}')
    environment = json_environment(tmp_path)
    assert str(tmp_path) in str(environment.get_template("slurmrestd/job.json.j2").filename)
    assert str(tmp_path) not in str(environment.get_template("shipped/slurmrestd/job.json.j2").filename)
