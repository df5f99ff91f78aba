"""The upstream's script: its KEY=value lines, and the one field of its format template."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidJob
from pipeline.intake.script import fill, keys

FIELD = "{DOWNSTREAM_PARAMETERS}"


def test_keys_are_whole_lines_at_column_0() -> None:
    text = (
        "JOBOBJ_NAE=app\n"
        " JOBOBJ_REPO=indented\n"
        "export JOBOBJ_USER=exported\n"
        "JOBOBJ_RAM = spaced\n"
        "JARVICE_CMD=a=b c#d \n"
        "OTHER=no\n"
        "jobobj_gpus=1"
    )
    assert keys(text) == {"JOBOBJ_NAE": "app", "JARVICE_CMD": "a=b c#d "}


def test_the_first_key_wins() -> None:
    assert keys("JOBOBJ_NAE=one\nJOBOBJ_NAE=two\n") == {"JOBOBJ_NAE": "one"}


def test_an_empty_key_is_absent() -> None:
    assert keys("JOBOBJ_NAE=\nJOBOBJ_REPO=\r\nJOBOBJ_RAM=8") == {"JOBOBJ_RAM": "8"}


def test_values_are_not_unquoted() -> None:
    assert keys("JOBOBJ_NAE='x'\nJOBOBJ_REPO=\"y\"") == {"JOBOBJ_NAE": "'x'", "JOBOBJ_REPO": '"y"'}


def test_keys_of_a_crlf_script_have_no_cr() -> None:
    assert keys("JOBOBJ_NAE=app\r\nJOBOBJ_RAM=8\r\n") == {"JOBOBJ_NAE": "app", "JOBOBJ_RAM": "8"}


def test_a_line_break_of_another_kind_does_not_begin_a_key() -> None:
    assert keys("# x\x0bJOBOBJ_NAE=a\x85JOBOBJ_REPO=b\u2028JOBOBJ_RAM=1\rJOBOBJ_GPUS=2\n") == {}


def test_keys_in_here_documents_count_too() -> None:
    """The contract reads lines, it does not read bash."""
    assert keys("cat <<X\nJOBOBJ_NAE=app\nX\n") == {"JOBOBJ_NAE": "app"}


def test_parameters_go_where_the_field_is_as_often_as_it_is_there() -> None:
    assert fill(f"a {FIELD} b {FIELD}", "P{1}") == "a P{1} b P{1}"


def test_doubled_braces_become_single() -> None:
    assert fill("x() {{ echo ${{A}}; }}", "") == "x() { echo ${A}; }"


@pytest.mark.parametrize(
    "text",
    [
        "{DOWNSTREAM_PARAMETERS.__class__}",
        "{DOWNSTREAM_PARAMETERS.__class__.__mro__}",
        "{DOWNSTREAM_PARAMETERS[0]}",
        "{DOWNSTREAM_PARAMETERS!r}",
        "{DOWNSTREAM_PARAMETERS:>1000000000}",
        "{DOWNSTREAM_PARAMETERS:{width}}",
        "{downstream_parameters}",
        "{OTHER}",
        "{0}",
        "{}",
        "x() { echo; }",
        "echo ${A}",
        "{",
        "}",
        "{{{",
        "a }",
    ],
)
def test_any_other_field_and_any_single_brace_is_refused(text: str) -> None:
    with pytest.raises(InvalidJob) as fault:
        fill(text, "PARAMETERS")
    assert fault.value.message.startswith("hpc_script: ")
    assert fault.value.status == 400


@given(st.text())
def test_text_with_doubled_braces_comes_back_as_it_was(text: str) -> None:
    assert fill(text.replace("{", "{{").replace("}", "}}"), "") == text


@given(st.text(alphabet="{}DOWNSTREAM_P!:[].x0 \n"), st.text(max_size=5))
def test_it_is_str_format_with_one_field_or_refused(text: str, parameters: str) -> None:
    def formatted() -> str:
        return text.format(DOWNSTREAM_PARAMETERS=parameters)

    ours = _or_none(lambda: fill(text, parameters))
    if ours is not None:
        assert ours == formatted()


def _or_none(make: Callable[[], str]) -> str | None:
    try:
        return make()
    except InvalidJob:
        return None


def test_the_docker_secret_may_have_single_or_doubled_braces() -> None:
    secret = '{"server": "registry.example.com", "username": "u", "password": "p"}'
    doubled = secret.replace("{", "{{").replace("}", "}}")
    for spelling in (secret, doubled):
        text = f"JOBOBJ_DOCKER_SECRET={spelling}\n{{DOWNSTREAM_PARAMETERS}}\necho ${{{{HOME}}}}\n"
        assert fill(text, "SET") == f"JOBOBJ_DOCKER_SECRET={secret}\nSET\necho ${{HOME}}\n"
