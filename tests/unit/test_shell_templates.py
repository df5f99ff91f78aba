"""The template language: a value is one quoted word of bash unless the template says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError, UndefinedError
from jinja2.exceptions import TemplateRuntimeError

from pipeline.render.shell_environment import shell_environment


def rendered(template: str, **values: Any) -> str:
    return shell_environment(None).from_string(template).render(values)


def test_a_value_is_one_word_whatever_it_holds() -> None:
    assert rendered("echo {{ v }}", v="$(id) 'x'\n") == "echo $'$(id) \\'x\\'\\x0a'"
    assert rendered("echo {{ v }} {{ n }} {{ t }}", v="", n=5, t=True) == "echo '' 5 True"


def test_what_is_put_together_is_quoted_as_a_whole() -> None:
    assert rendered("{{ 'a ' ~ v }}", v="b") == "'a b'"
    assert rendered("{{ v | upper }}", v="a b") == "'A B'"


def test_verbatim_and_words_say_in_plain_sight_that_a_value_is_something_else() -> None:
    assert rendered("{{ v | verbatim }}", v="$(id)") == "$(id)"
    assert rendered("rm {{ v | words }}", v=["a b", "-c", 5]) == "rm 'a b' -c 5"


def test_a_changed_verbatim_value_is_a_value_again() -> None:
    assert rendered("{{ (v | verbatim) ~ '' }}", v="$(id)") == "'$(id)'"
    assert rendered("{{ v | verbatim | upper }}", v="$(id)") == "'$(ID)'"


@pytest.mark.parametrize("value", [None, [], ["a"], ("a",), {"a": 1}, {"a"}])
def test_what_is_not_one_word_is_refused(value: object) -> None:
    with pytest.raises(TemplateRuntimeError, match="is not one word"):
        rendered("echo {{ v }}", v=value)


@pytest.mark.parametrize(
    "template",
    ["{{ nope }}", "{{ v.nope }}", "{{ nope.x }}", "{% if nope %}{% endif %}", "{{ nope | words }}"],
)
def test_an_unknown_variable_is_refused(template: str) -> None:
    with pytest.raises(UndefinedError, match="nope"):
        rendered(template, v={"a": 1})


def test_macros_blocks_and_captures_are_shell_text_already() -> None:
    macro = "{% macro greet(who) %}echo {{ who }};{% endmacro %}"
    assert rendered(macro + "{{ greet('a b') }}") == "echo 'a b';"
    assert rendered("{% set x %}echo {{ v }}{% endset %}{{ x }}", v="a b") == "echo 'a b'"
    assert rendered("{% block b %}echo {{ v }};{% endblock %}{{ self.b() }}", v="a b") == "echo 'a b';" * 2
    call = "{% macro twice() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    assert rendered(call + "{% call twice() %}{{ v }};{% endcall %}", v="a b") == "'a b';'a b';"


def test_a_value_that_looks_like_a_template_is_no_template() -> None:
    assert rendered("{{ v }}", v="{{ 7 * 7 }}") == "'{{ 7 * 7 }}'"


def test_includes_are_shell_text(tmp_path: Path) -> None:
    (tmp_path / "part.sh.j2").write_text("echo {{ v }}", encoding="utf-8")
    (tmp_path / "whole.sh.j2").write_text('{% include "part.sh.j2" %}', encoding="utf-8")
    assert shell_environment(tmp_path).get_template("whole.sh.j2").render(v="a b") == "echo 'a b'"


def test_a_template_cannot_leave_its_folders(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "secret.j2").write_text("secret", encoding="utf-8")
    with pytest.raises(TemplateError):
        shell_environment(site).get_template("../secret.j2")
