"""Pseudo-devices."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import InvalidJob
from pipeline.intake.devices import Devices, read
from pipeline.intake.sbatch_options import RESERVED_OPTIONS


def test_every_device_there_is() -> None:
    devices = ["overlay=1200", "partition=gpu", "exclusive=False", "sbatch_qos=high", "sbatch_requeue="]
    assert read(json.dumps(devices)) == Devices(1200, "gpu", False, {"qos": "high", "requeue": True})


def test_no_device_leaves_all_to_the_settings_and_takes_whole_nodes() -> None:
    assert read("[]") == Devices(None, "", True, {})


def test_an_overlay_of_0_is_not_the_same_as_none() -> None:
    assert read('["overlay=0"]').overlay_mb == 0


def test_a_value_may_hold_equal_signs() -> None:
    options = read('["sbatch_export-note=a=b=c", "sbatch_comment=x = y"]').sbatch_options
    assert options == {"export-note": "a=b=c", "comment": "x = y"}


@pytest.mark.parametrize(
    "device",
    [
        *("gpu=1", "", "=x", "Partition=x", "sbatch-qos=x"),
        *("overlay", "overlay=", "overlay=-1", "overlay=1.5", "overlay=1e3"),
        *("exclusive=yes", "exclusive=false", "partition=a\nb", "partition=\udfff"),
        *("sbatch_=x", "sbatch_A=x", "sbatch_--qos=x", "sbatch_q s=x"),
        *("sbatch_comment=a\nb", "sbatch_comment=a\0b", "sbatch_comment=\ud800"),
    ],
)
def test_any_other_device_fails_with_its_name(device: str) -> None:
    with pytest.raises(InvalidJob) as fault:
        read(json.dumps(["exclusive=False", device]))
    assert fault.value.message.startswith(f"JOBOBJ_DEVICES: {device!r}")
    fault.value.message.encode("utf-8")


@pytest.mark.parametrize(
    "text", ["x", "{}", "null", "5", '"overlay=1"', "[1]", "[null]", '[["overlay=1"]]', "[" * 5000]
)
def test_what_is_no_json_list_of_texts_is_refused(text: str) -> None:
    with pytest.raises(InvalidJob, match=r"^JOBOBJ_DEVICES: .* is not a JSON list"):
        read(text)


@pytest.mark.parametrize("option", [*RESERVED_OPTIONS, "job-nam", "job", "outp", "wra", "o"])
def test_an_option_that_the_downstream_needs_cannot_be_set_also_by_its_beginning(option: str) -> None:
    with pytest.raises(InvalidJob, match="sets this option itself"):
        read(json.dumps([f"sbatch_{option}=x"]))


def test_the_last_of_a_device_counts() -> None:
    assert read('["partition=a", "partition=b"]').partition == "b"
