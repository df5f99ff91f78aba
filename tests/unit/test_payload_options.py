"""Options of sbatch in the fields of slurmrestd's API, in each of its versions."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import InvalidJob
from pipeline.slurm.api_versions import API_VERSIONS
from tests.harness.jobs import NAME
from tests.harness.payloads import environment, fields, payload


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_environment_has_what_srun_reads_there(version: str) -> None:
    ours = environment(version, gpus_per_node="a100:2", cpus_per_task="3")
    assert (ours["SLURM_GPUS_PER_NODE"], ours["SLURM_CPUS_PER_TASK"]) == ("a100:2", "3")
    assert ours["SLURM_NTASKS_PER_NODE"] == "1"


@pytest.mark.parametrize(
    ("options", "new", "old"),
    [
        (
            {"mem": "1500K"},
            {"memory_per_node": {"set": True, "infinite": False, "number": 2}},
            {"memory_per_node": 2},
        ),
        (
            {"time": "UNLIMITED"},
            {"time_limit": {"set": True, "infinite": True, "number": 0}},
            {"time_limit": 0},
        ),
        ({"exclusive": True}, {"shared": ["none"]}, {"exclusive": "exclusive"}),
        ({"oversubscribe": True}, {"shared": ["oversubscribe"]}, {"oversubscribe": True}),
        ({"no_requeue": True}, {"requeue": False}, {"no_requeue": True}),
        ({"spread_job": True}, {"flags": ["SPREAD_JOB"]}, {"spread_job": True}),
        ({"nodelist": "n[1-2]"}, {"required_nodes": ["n1", "n2"]}, {"nodelist": "n[1-2]"}),
        ({"open_mode": "append"}, {"open_mode": ["APPEND"]}, {"open_mode": "append"}),
        ({"mail_type": "END,FAIL"}, {"mail_type": ["END", "FAIL"]}, {"mail_type": "END,FAIL"}),
        ({"gpus": "2"}, {"tres_per_job": "gres/gpu:2"}, {"gpus": "2"}),
        ({"gres": "gpu:1", "gpus_per_node": "2"}, {"tres_per_node": "gres/gpu:2,gres/gpu:1"}, None),
        ({"gres": "none"}, {}, {"gres": "none"}),
        ({"no_kill": True}, {"kill_on_node_fail": False}, {"no_kill": "set"}),
        ({"hold": True, "priority": "5"}, {"hold": True}, None),
        ({"comment": 'a "b" \\'}, {"comment": 'a "b" \\'}, {"comment": 'a "b" \\'}),
    ],
    ids=str,
)
def test_options_in_their_fields(options: Any, new: dict[str, Any], old: dict[str, Any] | None) -> None:
    for version in API_VERSIONS[:-2]:
        assert fields(version, **options) == new
    if old is not None:
        assert fields("v0.0.38", **options) == old


def test_what_changed_between_versions() -> None:
    assert fields("v0.0.39", gpus="2") == {"tres_per_job": "gres:gpu:2"}
    assert fields("v0.0.39", gres_flags="disable-binding") == {"flags": ["GRED_BINDING_DISABLED"]}
    assert isinstance(fields("v0.0.39", begin="now")["begin_time"], int)
    assert fields("v0.0.40", cores_per_socket="2") == fields("v0.0.45", cores_per_socket="2")
    assert fields("v0.0.41", exclusive="topo") == {"shared": ["topo"]}
    assert fields("v0.0.41", stepmgr="") == {"flags": ["STEPMGR_ENABLED"]}
    assert fields("v0.0.41", distribution="cyclic:block") == {"distribution": "cyclic:block"}
    assert fields("v0.0.42", oom_kill_step="1") == {"oom_kill_step": 1}
    assert fields("v0.0.44", spread_segments="") == {"flags": ["SPREAD_SEGMENTS"]}


OPTIONS_OF_SBATCH: dict[str, str | bool] = {
    "account": "x", "acctg-freq": "task=30", "batch": "x", "bb": "x", "begin": "now+1hour",
    "cluster-constraint": "x", "comment": "x", "constraint": "x", "container": "/x", "container-id": "x",
    "container-type": "x", "context": "x", "contiguous": True, "core-spec": "1", "cores-per-socket": "1",
    "cpu-freq": "high", "cpus-per-gpu": "1", "cpus-per-task": "1", "deadline": "2032-01-02",
    "delay-boot": "5", "dependency": "singleton", "distribution": "block", "exclude": "n1",
    "exclusive": "user", "extra": "x", "gpu-bind": "closest", "gpu-freq": "low", "gpus": "1",
    "gpus-per-node": "1", "gpus-per-socket": "1", "gpus-per-task": "1", "gres": "gpu:1",
    "gres-flags": "enforce-binding", "hold": True, "kill-on-invalid-dep": "yes", "licenses": "x:1",
    "mail-type": "ALL", "mail-user": "x", "mcs-label": "x", "mem": "1G", "mem-per-cpu": "1G",
    "mem-per-gpu": "1G", "mincpus": "1", "network": "x", "nice": "5", "no-kill": True, "no-requeue": True,
    "nodelist": "n1", "ntasks-per-core": "1", "ntasks-per-gpu": "1", "ntasks-per-socket": "1",
    "oom-kill-step": "1", "open-mode": "append", "overcommit": True, "oversubscribe": True,
    "partition": "x", "prefer": "x", "priority": "TOP", "profile": "all", "qos": "x", "reboot": True,
    "requeue": True, "reservation": "x", "segment": "1", "signal": "USR1@60", "sockets-per-node": "1",
    "spread-job": True, "stepmgr": "", "switches": "1@5", "thread-spec": "1", "threads-per-core": "1",
    "time": "5", "time-min": "5", "tmp": "1G", "tres-bind": "gres/gpu:closest",
    "tres-per-task": "gres/gpu:1", "use-min-nodes": True, "wait-all-nodes": "1", "wckey": "x",
}  # fmt: skip
MISSING_IN: dict[str, set[str]] = {
    "v0.0.45": set(),
    "v0.0.44": {"cores-per-socket", "container-type"},
    "v0.0.43": {"cores-per-socket", "container-type"},
    "v0.0.42": {"cores-per-socket", "container-type"},
    "v0.0.41": {"cores-per-socket", "container-type", "oom-kill-step"},
    "v0.0.40": {"container-type", "distribution", "oom-kill-step", "segment", "stepmgr"},
    "v0.0.39": {"container-type", "cores-per-socket", "distribution", "oom-kill-step", "segment", "stepmgr",
                "tres-bind", "tres-per-task"},
    "v0.0.38": {"batch", "container-id", "container-type", "context", "contiguous", "distribution", "extra",
                "network", "ntasks-per-gpu", "oom-kill-step", "overcommit", "profile", "reboot", "segment",
                "stepmgr", "switches", "tmp", "tres-bind", "tres-per-task"},
}  # fmt: skip


@pytest.mark.parametrize("version", API_VERSIONS)
def test_every_option_has_a_field_or_is_refused(version: str) -> None:
    for option, value in OPTIONS_OF_SBATCH.items():
        if option in MISSING_IN[version]:
            with pytest.raises(InvalidJob, match=f"has no field for sbatch's --{option}$"):
                payload(version, options={option: value})
        else:
            assert payload(version, options={option: value})


def test_what_each_task_gets_is_bound_to_it() -> None:
    made = fields("v0.0.42", gpus_per_task="a100:2", cpus_per_task="3")
    assert made == {
        "cpus_per_task": 3,
        "tres_per_task": "cpu=3,gres/gpu:a100=2",
        "tres_bind": "gres/gpu:per_task:2",
        "flags": ["EXACT_CPU_COUNT_REQUESTED"],
    }
    assert fields("v0.0.42", tres_per_task="cpu:3")["cpus_per_task"] == 3


@pytest.mark.parametrize(
    ("version", "option", "value"),
    [
        ("v0.0.40", "get-user-env", True),
        ("v0.0.40", "distribution", "block"),
        ("v0.0.39", "tres-per-task", "gres/gpu:1"),
        ("v0.0.38", "ntasks-per-gpu", "1"),
        ("v0.0.38", "extra", "x"),
        ("v0.0.41", "cores-per-socket", "1"),
        ("v0.0.43", "cores-per-socket", "1"),
        ("v0.0.45", "no-such-option", "1"),
    ],
)
def test_an_option_without_a_field_is_the_callers_fault(version: str, option: str, value: str | bool) -> None:
    with pytest.raises(InvalidJob) as fault:
        payload(version, options={option: value})
    shown = "" if value is True else value
    assert fault.value.job == NAME
    assert fault.value.message == (
        f"JOBOBJ_DEVICES: 'sbatch_{option}={shown}' is not supported by slurmrestd {version}, "
        f"which has no field for sbatch's --{option}"
    )


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("nice", "abc", "a whole number"),
        ("time", "soon", "MINUTES"),
        ("mem", "lots", "a size such as 500M or 4G"),
        ("open-mode", "w", "one of append, truncate"),
        ("kill-on-invalid-dep", "maybe", "one of yes, no"),
        ("exclusive", "nobody", "one of exclusive, oversubscribe, user, mcs"),
    ],
)
def test_a_value_that_sbatch_would_not_read_is_the_callers_fault(
    version: str, option: str, value: str, said: str
) -> None:
    with pytest.raises(InvalidJob, match=f"^JOBOBJ_DEVICES: 'sbatch_{option}={value}' is not {said}"):
        payload(version, options={option: value})


@pytest.mark.parametrize(
    ("one", "other"),
    [("no-requeue", "requeue"), ("exclusive", "oversubscribe"), ("mem", "mem-per-cpu")],
)
def test_options_that_exclude_each_other_are_told(one: str, other: str) -> None:
    both = {one: "1" if one == "mem" else True, other: "1" if one == "mem" else True}
    with pytest.raises(InvalidJob, match=rf"'sbatch_{other}=1?' is not compatible with --{one}"):
        payload("v0.0.42", options=both)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("delay-boot", "UNLIMITED", "a time that ends"), ("gpus-per-task", "a100:1,v100:2", r"\[TYPE:\]COUNT")],
)
def test_what_slurmrestd_has_no_word_for_is_told(option: str, value: str, said: str) -> None:
    with pytest.raises(InvalidJob, match=f"'sbatch_{option}={value}' is not {said}"):
        payload("v0.0.42", options={option: value})
