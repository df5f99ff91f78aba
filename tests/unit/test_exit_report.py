"""How a job ended, told once and the same ever after."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.bearers import Unverified
from pipeline.connectors import Connector
from pipeline.downstream import Downstream, ExitReport
from pipeline.errors import JobNotOver, NotFound, OutOfReach, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.settings import Settings
from tests.harness.fake_connector import ENDED, REF, RUNS, Clock, FakeConnector
from tests.harness.forms import form, script
from tests.harness.jobs import NAME

REPORT = ExitReport(0, "00:01:10", "the output\n", "COMPLETED")
WAITS = replace(RUNS, state="PENDING", phase=Phase.QUEUED)


def downstream_of(connector: FakeConnector, clock: Clock | None = None) -> Downstream:
    return Downstream(
        Settings(retention=60), Connector(connector, connector), Unverified(), clock=clock or Clock()
    )


def test_an_ended_job_has_status_time_output_and_slurms_word() -> None:
    connector = FakeConnector([ENDED])
    assert downstream_of(connector).exit_report(REF) == REPORT
    assert connector.removed == ["7"]


@pytest.mark.parametrize(
    ("state", "code"),
    [("FAILED", 1), ("OUT_OF_MEMORY", 1), ("CANCELLED", -15), ("TIMEOUT", -9), ("NEW_WORD", -9)],
)
def test_each_end_has_its_status(state: str, code: int) -> None:
    assert downstream_of(FakeConnector([replace(ENDED, state=state)])).exit_report(REF).status == code


@pytest.mark.parametrize(
    "live", [RUNS, WAITS, replace(RUNS, state="COMPLETING"), replace(RUNS, state="SUSPENDED")]
)
def test_a_live_job_has_none_and_nothing_of_it_is_removed(live: JobStatus) -> None:
    connector = FakeConnector([live])
    with pytest.raises(JobNotOver, match=f"job 7 is {live.state}: it has no exit status yet") as fault:
        downstream_of(connector).exit_report(REF)
    assert (fault.value.status, fault.value.job) == (409, NAME)
    assert (connector.removed, connector.outputs) == ([], 0)


def test_without_output_the_output_is_empty() -> None:
    assert downstream_of(FakeConnector([ENDED], output_bytes=None)).exit_report(REF).output == ""


def test_output_that_is_no_utf_8_is_shown_as_such() -> None:
    report = downstream_of(FakeConnector([ENDED], output_bytes=b"\xff ok")).exit_report(REF)
    assert report.output == "\ufffd ok"


def test_files_that_cannot_be_removed_do_not_hide_the_exit_status(caplog: pytest.LogCaptureFixture) -> None:
    connector = FakeConnector([ENDED], removal_fault=Unavailable("cannot remove"))
    assert downstream_of(connector).exit_report(REF) == REPORT
    assert "its files are left behind: cannot remove" in caplog.text


def test_output_that_cannot_be_read_leaves_all_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    connector = FakeConnector([ENDED])

    def broken(job: JobStatus, lines: int) -> bytes | None:
        raise Unavailable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(connector, "output", broken)
        with pytest.raises(Unavailable):
            downstream_of(connector).exit_report(REF)
    assert connector.removed == []
    assert downstream_of(connector).exit_report(REF) == REPORT


def test_output_that_is_out_of_reach_leaves_its_reason_in_its_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connector = FakeConnector([ENDED], removal_fault=OutOfReach("not by slurmrestd"))

    def hidden(job: JobStatus, lines: int) -> bytes | None:
        raise OutOfReach("the job's output cannot be read")

    monkeypatch.setattr(connector, "output", hidden)
    downstream = downstream_of(connector)
    with caplog.at_level(logging.INFO):
        report = downstream.exit_report(REF)
    assert report == replace(REPORT, output="<< the job's output cannot be read >>\n")
    assert downstream.exit_report(REF) == report
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert "its files stay: not by slurmrestd" in caplog.text
    with pytest.raises(OutOfReach):
        downstream.tail(REF, 10)


def test_asked_again_the_answer_is_the_same_though_all_is_gone() -> None:
    connector, clock = FakeConnector([ENDED]), Clock()
    downstream = downstream_of(connector, clock)
    first = downstream.exit_report(REF)
    connector.live, connector.output_bytes = [], None
    for _ in range(5):
        clock.now += 10
        assert downstream.exit_report(REF) == first == REPORT
    assert (connector.removed, connector.outputs) == (["7"], 1)


def test_after_a_while_it_is_forgotten() -> None:
    connector, clock = FakeConnector([ENDED]), Clock()
    downstream = downstream_of(connector, clock)
    downstream.exit_report(REF)
    connector.live = []
    for _ in range(2):
        clock.now += 100
        downstream.running()
    with pytest.raises(NotFound):
        downstream.exit_report(REF)


def test_many_that_ask_at_once_collect_it_once() -> None:
    connector = FakeConnector([ENDED])
    downstream = downstream_of(connector)
    together = threading.Barrier(8)

    def ask(_: int) -> ExitReport:
        together.wait(10)
        return downstream.exit_report(REF)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [REPORT] * 8
    assert (connector.removed, connector.outputs) == (["7"], 1)


def test_one_slow_job_does_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(ENDED, job_id="8", name="2024-other")
    connector = FakeConnector([ENDED, other])
    downstream = downstream_of(connector)
    downstream.running()
    go_on, asked = threading.Event(), threading.Event()
    quick = connector.output

    def output(job: JobStatus, lines: int) -> bytes | None:
        if job.job_id == "7":
            asked.set()
            go_on.wait(10)
        return quick(job, lines)

    monkeypatch.setattr(connector, "output", output)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(downstream.exit_report, REF)
        assert asked.wait(10)
        assert downstream.exit_report(replace(REF, job_id="8", name="2024-other")).status == 0
        go_on.set()
        assert slow.result(10) == REPORT


def test_a_job_that_ended_is_not_terminated_again() -> None:
    connector = FakeConnector([ENDED])
    downstream_of(connector).terminate(REF)
    assert connector.terminated == []
    connector.live = [RUNS]
    downstream_of(connector).terminate(REF)
    assert connector.terminated == ["7"]


def test_a_job_is_queued_as_soon_as_it_is_submitted() -> None:
    connector = FakeConnector([])
    downstream = downstream_of(connector)
    assert downstream.queued() == []
    sent = downstream.submit(form(script("echo"), name=NAME))
    assert sent.job_id == "7"
    assert [(job.name, job.job_id) for job in downstream.queued()] == [(NAME, "7")]
    assert [batch.slurm_name for batch in connector.submitted] == [f"jarvice_{NAME}"]
