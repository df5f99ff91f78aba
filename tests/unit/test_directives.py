"""A directive means to sbatch exactly what was asked for."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2.exceptions import TemplateRuntimeError

from pipeline.render.shell_environment import ShellText, directive
from pipeline.slurm import directives
from tests.harness.text import ONE_LINE

OPTION = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)


def sbatch_reads(line: str) -> list[str]:
    """The arguments that sbatch makes of what follows ``#SBATCH``.

    As its get_argument does: a backslash takes the next character as it is, in and out of quotes of
    either kind; an unquoted # begins a comment; "packjob" and "hetjob" anywhere are blanked first.
    """
    for word in ("packjob", "hetjob"):
        place = line.lower().find(word)
        if place >= 0:
            line = line[:place] + " " * len(word) + line[place + len(word) :]
    words: list[str] = []
    word, quote, escaped, begun = "", "", False, False
    for character in line:
        if escaped:
            word, escaped, begun = word + character, False, True
        elif character == "\\":
            escaped = True
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote, begun = character, True
        elif character == "#":
            break
        elif character in " \t\v\f\r\n":
            words, word, begun = ([*words, word] if begun else words), "", False
        else:
            word, begun = word + character, True
    assert not quote, f"sbatch: missing quote in {line!r}"
    return [*words, word] if begun else words


@given(OPTION, ONE_LINE.filter(bool))
@example("comment", "a b")
@example("comment", 'it\'s "quoted" \\ # no comment')
@example("comment", "\\")
@example("comment", "trailing space ")
@example("comment", ":")
@example("comment", "=")
@example("job-name", "jarvice_2024-ABCDE-packjob-demo_s1")
@example("job-name", "jarvice_2024-ABCDE-HetJob-hetjob_s1")
@example("hetjob", "x")
def test_sbatch_reads_the_value_that_was_asked_for(option: str, value: str) -> None:
    text = directive(option, value)
    assert isinstance(text, ShellText)
    assert sbatch_reads(text) == [f"--{option}={value}"]
    assert "\n" not in text


@given(OPTION, ONE_LINE.filter(bool))
@example("comment", "a\u00a0b \u3000")
@example("job-name", "a packjob")
def test_the_local_connector_reads_it_as_sbatch_does(option: str, value: str) -> None:
    assert directives.read(f"#!/bin/bash\n#SBATCH {directive(option, value)}\n") == {option: value}


def test_the_local_connector_stops_reading_at_the_first_command() -> None:
    script = "#!/bin/bash\n\n# note\n#SBATCH --hold\n#SBATCH --time=00:01:00 # note\n:\n#SBATCH --nodes=5\n"
    assert directives.read(script) == {"hold": "", "time": "00:01:00"}


@pytest.mark.parametrize("line", ["#SBATCH --hold", "#SBATCH\t--hold", "#SBATCH--hold"])
def test_directives_are_found_where_sbatch_finds_them(line: str) -> None:
    script = (
        f"#!/bin/bash\n  # what our queue wants\n\n{line}\n  #SBATCH --qos=x\n##SBATCH --qos=y\nsleep 1\n"
    )
    assert directives.read(script) == {"hold": ""}


def test_a_bare_option() -> None:
    assert directive("exclusive", True) == "--exclusive"


def test_an_option_without_its_value_does_not_take_the_next_line_for_it() -> None:
    assert directive("comment", "") == "--comment="


def test_a_number_is_a_value_also_when_it_is_0() -> None:
    assert directive("nodes", 0) == "--nodes=0"


@given(st.text(), st.sampled_from("\n\r\0\t\x1b\x7f"), st.text())
def test_a_control_character_is_refused(before: str, character: str, after: str) -> None:
    with pytest.raises(TemplateRuntimeError, match="--comment holds a control character"):
        directive("comment", before + character + after)


@pytest.mark.parametrize("option", ["", "-x", "--time", "Time", "a b", "a=b", "a\nb", "1x"])
def test_what_is_no_long_option_is_refused(option: str) -> None:
    with pytest.raises(TemplateRuntimeError, match="is not a long option"):
        directive(option, "x")
