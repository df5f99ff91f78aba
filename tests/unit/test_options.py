"""Values of options, read as sbatch reads them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.slurm.options import OptionFault, Options, Signal

NOW = datetime(2024, 3, 30, 12, 30, 15)


@pytest.fixture(autouse=True)
def in_berlin() -> Iterator[None]:
    """A time zone whose clocks go forward on the day after NOW."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def options(**values: str) -> Options:
    return Options({name.replace("_", "-"): value for name, value in values.items()}, NOW)


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("value", "minutes"),
    [
        ("0", None),
        ("90", 90),
        ("1:00", 1),
        ("1:01", 2),
        ("01:30:00", 90),
        ("01:30:30", 91),
        ("0:0:1", 1),
        ("2-0", 2880),
        ("1-02", 1560),
        ("1-02:03", 1563),
        ("1-02:03:04", 1564),
        ("100:00:00", 6000),
        ("UNLIMITED", None),
        ("infinite", None),
        ("-1", None),
    ],
)
def test_a_limit_in_minutes(value: str, minutes: int | None) -> None:
    assert options(time=value).minutes("time") == minutes


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_a_limit_is_never_shorter_than_what_was_asked_for(
    days: int, hours: int, minutes: int, seconds: int
) -> None:
    asked = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    got = options(time=f"{days}-{hours}:{minutes}:{seconds}").minutes("time")
    assert got is not None
    assert timedelta() <= timedelta(minutes=got) - asked < timedelta(minutes=1)


@pytest.mark.parametrize("value", ["", "1h", "1:2:3:4", "1-", "-5", "1-2-3", "1:", "\uff11", "1.5", "1 "])
def test_what_is_no_limit(value: str) -> None:
    with pytest.raises(OptionFault, match="--time is not MINUTES") as fault:
        options(time=value).minutes("time")
    assert fault.value.option == "time"


@pytest.mark.parametrize(
    ("value", "megabytes"),
    [
        ("0", 0),
        ("500", 500),
        ("500M", 500),
        ("4G", 4096),
        ("4g", 4096),
        ("1T", 1048576),
        ("2GB", 2048),
        ("1K", 1),
        ("1024K", 1),
        ("1025K", 2),
        ("0K", 0),
        ("1500k", 2),
    ],
)
def test_a_size(value: str, megabytes: int) -> None:
    assert options(mem=value).megabytes("mem") == megabytes


@pytest.mark.parametrize("value", ["", "4X", "G", "-1", "1.5G", "4 G", "4GiB", "500B"])
def test_what_is_no_size(value: str) -> None:
    with pytest.raises(OptionFault, match="a size such as 500M or 4G"):
        options(mem=value).megabytes("mem")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2030-07-01", "2030-07-01T00:00:00+02:00"),
        ("2030-01-02T03:04", "2030-01-02T03:04:00+01:00"),
        ("2030-01-02T03:04:05", "2030-01-02T03:04:05+01:00"),
        ("12:31", "2024-03-30T12:31:00+01:00"),
        ("12:30", "2024-03-31T12:30:00+02:00"),
        ("9:00:01", "2024-03-31T09:00:01+02:00"),
        ("now", "2024-03-30T12:30:15+01:00"),
        ("now+30", "2024-03-30T12:30:45+01:00"),
        ("now+1minute", "2024-03-30T12:31:15+01:00"),
        ("now+24hours", "2024-03-31T13:30:15+02:00"),
        ("NOW+1week", "2024-04-06T13:30:15+02:00"),
    ],
)
def test_a_point_in_time(value: str, expected: str) -> None:
    assert options(begin=value).epoch("begin") == epoch(expected)


@pytest.mark.parametrize(
    "value", ["", "tomorrow-ish", "2030-13-01", "25:00", "now+", "now+1year", "2030-1-1"]
)
def test_what_is_no_point_in_time(value: str) -> None:
    with pytest.raises(OptionFault, match="YYYY-MM-DD"):
        options(begin=value).epoch("begin")


def test_numbers() -> None:
    assert options(ntasks="12").number("ntasks") == 12
    assert [options(nice=value).nice("nice") for value in ("", "-5", "+7", "0")] == [100, -5, 7, 0]
    assert [options(priority=value).priority("priority") for value in ("7", "top")] == [7, 2**32 - 3]
    for value in ("", "-1", "x", "1.0", "99999999999"):
        with pytest.raises(OptionFault, match="a whole number"):
            options(ntasks=value).number("ntasks")
    with pytest.raises(OptionFault, match="2147483645"):
        options(nice="2147483646").nice("nice")


def test_an_option_without_a_value() -> None:
    assert options(hold="").flag("hold") is True
    with pytest.raises(OptionFault, match="an option without a value"):
        options(hold="no").flag("hold")
    with pytest.raises(OptionFault, match=r"--account is not given a value \(--account=VALUE\)"):
        options(account="").text("account")


def test_lists() -> None:
    assert options(x="a,b,,c").words("x") == ["a", "b", "c"]
    assert options(nodelist="n[1-2],m07").hosts("nodelist") == ["n1", "n2", "m07"]
    for value in ("", "n[1-", "./hosts", "n[1-999999999]"):
        with pytest.raises(OptionFault):
            options(nodelist=value).hosts("nodelist")
    assert options(gpus="a100:2,gres/gpu:1").prefixed("gpus", "gres/gpu:") == [
        "gres/gpu:a100:2",
        "gres/gpu:1",
    ]


def test_choices() -> None:
    ways = {"": "none", "user": "user"}
    assert [options(exclusive=value).choice("exclusive", ways) for value in ("", "USER")] == ["none", "user"]
    with pytest.raises(OptionFault, match="--exclusive is not user"):
        options(exclusive="mcs").choice("exclusive", ways)
    mail = {"all": ["BEGIN", "END"], "end": "END", "none": []}
    assert options(mail="END,ALL").choices("mail", mail) == ["END", "BEGIN"]
    assert options(mail="NONE").choices("mail", mail) == []
    with pytest.raises(OptionFault, match="one of all, end, none"):
        options(mail="END,LATER").choices("mail", mail)


def test_flags() -> None:
    flags: dict[str, str | Mapping[str, object]] = {
        "spread-job": "SPREAD",
        "kill": {"yes": "KILL", "no": "KEEP"},
    }
    assert options(spread_job="", kill="no").flags(flags) == ["SPREAD", "KEEP"]
    assert options().flags(flags) == []


@pytest.mark.parametrize(
    ("value", "signal"),
    [
        ("USR1", Signal("USR1", 60, batch=False, reservation=False)),
        ("10@120", Signal("10", 120, batch=False, reservation=False)),
        ("B:TERM@0", Signal("TERM", 0, batch=True, reservation=False)),
        ("r:int", Signal("INT", 60, batch=False, reservation=True)),
        ("RB:KILL", Signal("KILL", 60, batch=True, reservation=True)),
    ],
)
def test_a_signal(value: str, signal: Signal) -> None:
    assert options(signal=value).signal("signal") == signal


@pytest.mark.parametrize("value", ["", "@60", "X:USR1", "USR1@", "USR1@x", "B:", "USR 1"])
def test_what_is_no_signal(value: str) -> None:
    with pytest.raises(OptionFault, match="SIGNAL"):
        options(signal=value).signal("signal")


def test_switches() -> None:
    assert options(switches="2").switches("switches") == (2, None)
    assert options(switches="2@1:30").switches("switches") == (2, 90)
    for value in ("", "0", "x", "2@", "2@soon"):
        with pytest.raises(OptionFault, match="COUNT"):
            options(switches=value).switches("switches")


def test_what_each_task_gets() -> None:
    asked = options(cpus_per_task="2", gpus_per_task="a100:1")
    assert asked.tres_per_task() == "cpu=2,gres/gpu:a100=1"
    assert asked.tres_bind() == "gres/gpu:per_task:1"
    asked = options(tres_per_task="cpu:3,gres/shard:4")
    assert (asked.cpus_per_task(), asked.tres_bind()) == (3, "gres/shard:per_task:4")
    assert list(asked.left) == ["tres-per-task"]
    assert asked.tres_per_task() == "cpu:3,gres/shard:4"
    assert list(asked.left) == []
    assert options(gpus_per_task="1", gpu_bind="closest").tres_bind() == "gres/gpu:closest"
    assert (options().tres_per_task(), options().tres_bind(), options().cpus_per_task()) == ("", "", None)
    for values in (
        {"tres_per_task": "cpu=1", "cpus_per_task": "2"},
        {"tres_per_task": "x"},
        {"gpus_per_task": "x"},
    ):
        with pytest.raises(OptionFault):
            options(**values).tres_per_task()


def test_what_nobody_has_read_is_left() -> None:
    some = options(account="a", hold="", nice="1")
    assert "account" in some
    assert "qos" not in some
    assert some["account"] == "a"
    assert list(some.left) == ["account", "hold", "nice"]
    some.text("account")
    some.flag("hold")
    assert list(some.left) == ["nice"]
    with pytest.raises(KeyError):
        some.text("qos")


def test_a_file_is_where_sbatch_looks_for_it() -> None:
    assert options(output="a/b").path("output", "/home/kirby") == "/home/kirby/a/b"
    assert options(output="/a/b").path("output", "/home/kirby") == "/a/b"


def test_a_template_can_refuse() -> None:
    with pytest.raises(OptionFault, match="--signal is not a name or number"):
        options(signal="B:10").refuse("signal", "a name or number")
