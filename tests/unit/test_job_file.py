"""Files with jobs: YAML or JSON, told apart by what they say; nothing in them is carried out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli.job_file import FileArgument, JobFile, read_job_file
from pipeline.errors import InvalidJob, InvalidRequest
from pipeline.prepare import Preparer
from pipeline.settings import Settings

SPEC = """
name: hello
user: kirby
image: /images/app.sif
command: [echo, hello]
"""


def read(folder: Path, text: str | bytes) -> JobFile:
    file = folder / "job"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_job_file(FileArgument(str(file)))


def fault_of(folder: Path, text: str) -> str:
    document = read(folder, text)
    with pytest.raises(InvalidJob) as fault:
        document.check(Preparer(Settings()))
    return document.placed(fault.value).message


def test_a_spec_in_yaml_and_in_json_is_the_same_job(tmp_path: Path) -> None:
    yaml = read(tmp_path, SPEC)
    assert not yaml.is_form
    assert yaml.lines == {"name": 2, "user": 3, "image": 4, "command": 5, "command.0": 5, "command.1": 5}
    for indent in (None, 2, "\t"):
        found = read(tmp_path, json.dumps(yaml.content, indent=indent))
        assert found.content == yaml.content
    preparer = Preparer(Settings())
    assert found.check(preparer) == yaml.check(preparer)


def test_a_document_with_the_upstreams_script_is_a_form(tmp_path: Path) -> None:
    for text in ('{"hpc_script": {}, "name": "x"}', "hpc_script: {}\nname: x"):
        assert read(tmp_path, text).is_form


def test_json_is_read_as_json_has_it(tmp_path: Path) -> None:
    found = read(tmp_path, '{"name": "\\ud83d\\ude00", "n": 1e3, "t": "01:00:00"}')
    assert found.content == {"name": "😀", "n": 1000.0, "t": "01:00:00"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SPEC + "walltme: '00:10:00'\n", "line 6: walltme: is not a field; did you mean walltime?"),
        (SPEC + "walltime: 10 hours\n", "line 6: walltime: '10 hours' is not of the form"),
        (SPEC + "nodes: 0x10\n", "line 6: nodes: '0x10' is not a whole number"),
        (
            SPEC + "mounts:\n- source: /a\n- source: b\n",
            "line 8: mounts.1.source: 'b' is not an absolute path",
        ),
        (SPEC + "mounts:\n- source: /a\n- target: /b\n", "line 8: mounts.1.source is missing"),
        (SPEC + "environment:\n  A: 1\n  HOME: x\n", "line 8: environment.HOME: is not a variable"),
        (SPEC + "sbatch:\n  account: x\n  wrap: ls\n", "line 8: sbatch.wrap: "),
        (SPEC.replace("hello", "1x", 1), "line 2: name: '1x' is not a name: "),
    ],
)
def test_a_fault_of_a_field_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    assert fault_of(tmp_path, text).startswith(told)


def test_a_field_that_is_not_there_has_no_line(tmp_path: Path) -> None:
    assert fault_of(tmp_path, "name: hello") == "user is missing"


def test_options_of_the_command_line_come_before_the_file(tmp_path: Path) -> None:
    document = read(tmp_path, SPEC).with_options(name="other").with_options(held=True)
    assert (document.content["name"], document.content["user"]) == ("other", "kirby")
    assert document.options == {"name", "held"}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (SPEC, False),
        (SPEC + "held: true\n", True),
        (SPEC + "held: false\n", False),
        (SPEC + "sbatch:\n  hold: true\n", True),
        (SPEC + "sbatch: hold\n", False),
    ],
)
def test_whether_a_job_would_be_held(tmp_path: Path, text: str, held: bool) -> None:
    assert read(tmp_path, text).is_held is held


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("nULL", "nULL"),
        ("true", True), ("FALSE", False), ("tRUE", "tRUE"), ("'true'", "true"),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"),
        ("0", 0), ("12", 12), ("-3", -3), ("+3", "+3"), ("'12'", "12"),
        ("010", "010"), ("0x1F", "0x1F"), ("0o17", "0o17"), ("1_000", "1_000"),
        ("1:30:00", "1:30:00"), ("2024-01-01", "2024-01-01"), ("2024-13-45", "2024-13-45"),
        ("1.5", "1.5"), ("1e3", "1e3"), (".inf", ".inf"), (".nan", ".nan"), ("=", "="), ("<<", "<<"),
        ("9" * 19, int("9" * 19)), ("9" * 20, "9" * 20), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_plain_values_are_the_text_that_is_written_but_for_few(
    tmp_path: Path, written: str, read_as: object
) -> None:
    value = read(tmp_path, f"a: {written}\n").content["a"]
    assert (value, type(value)) == (read_as, type(read_as))


def test_a_number_of_thousands_of_digits_is_no_number_in_json_either(tmp_path: Path) -> None:
    assert read(tmp_path, f'{{"a": {"9" * 5000}}}').content == {"a": "9" * 5000}


def test_names_of_fields_are_read_as_values_are(tmp_path: Path) -> None:
    assert read(tmp_path, "no: 1\n<<: 2\n2024-01-01: 3\n").content == {"no": 1, "<<": 2, "2024-01-01": 3}


@pytest.mark.parametrize("form", ["", "hpc_script: {}\n"])
def test_what_is_nested_too_deeply_is_told(tmp_path: Path, form: str) -> None:
    deepest = "[" * 31 + "]" * 31
    assert read(tmp_path, f"{form}a: {deepest}\n").content["a"]
    with pytest.raises(InvalidRequest, match=r"^is nested too deeply$"):
        read(tmp_path, f"{form}a: [[{deepest}]]\n")


@pytest.mark.parametrize("levels", [33, 980, 5_000, 100_000])
def test_json_that_is_nested_too_deeply_is_told(tmp_path: Path, levels: int) -> None:
    with pytest.raises(InvalidRequest, match=r"^is nested too deeply$"):
        read(tmp_path, f'{{"name": {"[" * levels}{"]" * levels}}}')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("[]", "is not a job: a job has fields with values"),
        ("- a\n- b\n", "is not a job"),
        ("hello", "is not a job"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        ("name: \x00", "is neither YAML nor JSON: unacceptable character"),
        ("{", "is neither YAML nor JSON: line 1, column 2: "),
        ("a: b\n c: d\n", "is neither YAML nor JSON: line 2, column 3: mapping values are not allowed here"),
        ("a: b\n---\nc: d\n", "is neither YAML nor JSON: line 2, column 1: "),
        ('a: "\\UFFFFFFFF"', "is neither YAML nor JSON: an escape in it stands for no character"),
        ('a: "\\U00110000"', "is neither YAML nor JSON: an escape in it stands for no character"),
        ("a: b\na: c\n", "line 2: the field 'a' is there twice"),
        ("x:\n  a: b\n  a: c\n", "line 3: the field 'a' is there twice"),
        ('{"a": 1, "a": 2}', "the field 'a' is there twice"),
        ("x: 1\ntrue: 1\n", "line 2: the name 'true' of a field is not a text; it needs quotes"),
        ("{[a]: 1}", "line 1: the name of a field is not a text"),
        ("a: &x [1]\nb: *x\n", "is neither YAML nor JSON: line 2, column 4: an alias, *x, is not taken"),
        ("a: &x [*x]\n", "is neither YAML nor JSON: line 1, column 8: an alias"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(InvalidRequest) as fault:
        read(tmp_path, text)
    assert fault.value.message.startswith(told)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!x", "!!seq", "!"]
)
def test_nothing_is_carried_out(tmp_path: Path, tag: str) -> None:
    with pytest.raises(InvalidRequest, match=r"line 1, column 7: a tag, .*, is not taken"):
        read(tmp_path, f"name: {tag} ['touch {tmp_path}/canary']")
    assert not (tmp_path / "canary").exists()


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read: Is a directory"):
        read_job_file(FileArgument(str(tmp_path)))
