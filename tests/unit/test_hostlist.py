"""Slurm's host lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.slurm.hostlist import expand


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", []),
        ("n1", ["n1"]),
        ("n1,gpu-2.example.com", ["n1", "gpu-2.example.com"]),
        ("n[1-3,7],gpu01", ["n1", "n2", "n3", "n7", "gpu01"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("n[099-101]", ["n099", "n100", "n101"]),
        ("r[1-2]n[3-4]", ["r1n3", "r1n4", "r2n3", "r2n4"]),
        ("r[1-2]-x", ["r1-x", "r2-x"]),
        ("[1-2]", ["1", "2"]),
        ("n[5]", ["n5"]),
    ],
)
def test_host_lists(text: str, hosts: list[str]) -> None:
    assert list(expand(text)) == hosts


@pytest.mark.parametrize(
    "text",
    [
        "n[1-2",
        "n1]",
        "n[]",
        "n[a-b]",
        "n[1-]",
        "n[-2]",
        "n[3-1]",
        "n[[1]]",
        "n[1-2]]",
        "n[1,,2]",
        "n[²]",
        "[1,1]" * 2000,
    ],
)
def test_what_is_no_host_list_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="host list"):
        expand(text)


@pytest.mark.parametrize("text", ["n[1-999999999]", "n[1-99999][1-99999]", "n[1-60000],m[1-60000]"])
def test_a_list_beyond_any_cluster_is_an_error_and_not_made(text: str) -> None:
    with pytest.raises(ValueError, match="more than 100000 hosts"):
        expand(text)


@given(
    st.lists(st.tuples(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.integers(0, 999), st.integers(0, 50)))
)
def test_ranges_count_from_first_to_last(ranges: list[tuple[str, int, int]]) -> None:
    text = ",".join(f"{head}[{first}-{first + more}]" for head, first, more in ranges)
    wanted = [f"{head}{number}" for head, first, more in ranges for number in range(first, first + more + 1)]
    assert list(expand(text)) == wanted
