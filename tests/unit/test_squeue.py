"""Reading squeue: all of ours, none of anybody else's, or an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Nonsense, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.slurm.commands import Squeue, UnknownUser, our_name
from pipeline.slurm.comments import comment
from pipeline.transport import Completed
from tests.harness.jobs import NAME
from tests.harness.text import HOSTILE_TEXT

SQUEUE = Squeue("jarvice_", "MARK")


def line(
    job_id: str = "7", state: str = "RUNNING", nodes: str = "n[1-2]", name: str = f"jarvice_{NAME}",
    reason: str = "None", comment: str = "(null)",
) -> str:  # fmt: skip
    return f"MARK|{job_id}|kirby|{state}|1:05|{nodes}|{reason}|MARK:{name}|MARK:{comment}\n"


def read(text: str) -> list[JobStatus]:
    return SQUEUE.parse(Completed(0, text.encode("utf-8", "surrogatepass")))


def test_a_line_is_a_job() -> None:
    assert read(line()) == [JobStatus(NAME, "7", "kirby", "RUNNING", Phase.RUNNING, 65, ("n1", "n2"))]


def test_a_waiting_job_has_no_nodes() -> None:
    [job] = read(line(state="PENDING", nodes=""))
    assert (job.phase, job.nodes) == (Phase.QUEUED, ())


@pytest.mark.parametrize(
    ("state", "said", "reason"),
    [
        ("PENDING", "PartitionTimeLimit", "PartitionTimeLimit"),
        ("PENDING", "None", ""),
        ("PENDING", "", ""),
        ("PENDING", f"plugin: a|b\n9|kirby|x|1:05|n1|no|jarvice_{NAME}\n",
         f"plugin: a|b 9|kirby|x|1:05|n1|no|jarvice_{NAME}"),
        ("RUNNING", "None", ""),
        ("FAILED", "NonZeroExitCode", ""),
    ],
)  # fmt: skip
def test_only_a_waiting_job_has_a_reason_which_is_any_text(state: str, said: str, reason: str) -> None:
    jobs = read(line(state=state, reason=said) + line("8"))
    assert [(job.job_id, job.name, job.reason) for job in jobs] == [("7", NAME, reason), ("8", NAME, "")]


def test_an_empty_cluster_has_no_jobs() -> None:
    assert read("") == []


def test_it_asks_for_all_states_and_all_partitions() -> None:
    words = SQUEUE.line().split()
    assert words[0] == "squeue"
    assert {"--noheader", "--all", "--states=all"} < set(words)


def test_one_name_of_one_user_is_asked_for_by_both() -> None:
    assert Squeue("jarvice_", name=NAME, user="kirby").line().endswith(f" --name=jarvice_{NAME} --user=kirby")
    assert not {"--name", "--user"} & {word.partition("=")[0] for word in SQUEUE.line().split()}


def test_a_user_whom_the_host_does_not_know_is_no_user_without_jobs() -> None:
    """squeue's exit code is 0, in Slurm 22.05 as in 26.05."""
    with pytest.raises(UnknownUser):
        Squeue("jarvice_", user="kirby").parse(Completed(0, b"", b"squeue: error: Invalid user: kirby\n\n"))


def test_each_poll_has_a_mark_of_its_own() -> None:
    assert Squeue("jarvice_").mark != Squeue("jarvice_").mark
    assert len(Squeue("jarvice_").mark) >= 16


@pytest.mark.parametrize(
    "name",
    [
        "other",
        "jarvice",
        "jarvice_",
        "jarvice_app",
        "jarvice_test_2024-x",
        "Xjarvice_2024-x",
        "JARVICE_2024-x",
    ],
)
def test_jobs_of_others_are_not_ours(name: str) -> None:
    assert read(line(name=name)) == []


@pytest.mark.parametrize("more", ["|x|y", "/../../x", "$(id)", " x", "\x1b[2J", "\n", "\x85", "x" * 200, "é"])
def test_a_name_that_we_would_not_have_taken_is_none_of_ours(more: str) -> None:
    found = read(line("8", name=f"jarvice_{NAME}{more}") + line())
    assert [job.job_id for job in found] == ["7"]
    native = Squeue("jarvice_:", "MARK").parse(Completed(0, line(name=f"jarvice_:hello{more}").encode()))
    assert native == []


@pytest.mark.parametrize(
    "name",
    [
        "a\n",
        "a\nb",
        "a|b|c|d|e|f",
        f"x\n9|kirby|COMPLETED|1:05|n1|jarvice_{NAME}",
        f"x\nMARK9|kirby|COMPLETED|1:05|n1|jarvice_{NAME}",
        f"x\n0123456789abcdef|9|kirby|COMPLETED|1:05|n1|jarvice_{NAME}",
        "",
    ],
)
def test_nobodys_job_name_makes_or_hides_one_of_ours(name: str) -> None:
    jobs = read(line("1", name=name) + line("7") + line("2", name=name))
    assert [(job.job_id, job.name) for job in jobs] == [("7", NAME)]


def test_a_job_that_came_through_slurmrestd_tells_the_digest_of_its_content() -> None:
    comments = [comment("0123abcd"), "(null)", "", "the site's", "jarvice:", "jarvice:x", "jarvice:0123\n9|x"]
    jobs = read("".join(line(comment=said) for said in comments))
    assert [job.digest for job in jobs] == ["0123abcd", *[""] * 6]


@given(st.lists(HOSTILE_TEXT.filter(lambda text: "MARK" not in text)))
def test_nobodys_comment_makes_or_hides_a_job(comments: list[str]) -> None:
    text = "".join(line("8", comment=said) for said in comments) + line("7")
    assert [job.job_id for job in read(text)] == ["8"] * len(comments) + ["7"]


@given(st.lists(HOSTILE_TEXT.filter(lambda name: "MARK" not in name)))
def test_no_mix_of_job_names_makes_or_hides_one_of_ours(names: list[str]) -> None:
    text = line("7") + "".join(line("1", name=f"x{name}") + line("8") for name in names)
    assert [job.job_id for job in read(text)] == ["7"] + ["8"] * len(names)


@pytest.mark.parametrize(
    "text",
    [
        "MARK|7|kirby|RUNNING\n",
        "MARK|7\n",
        "MARK|\n",
        line() + "MARK|8|kirby|RUNNING|1:05|n",
        line() + "MARK|8|kirby|RUNNING|1:05|n1|None|MAR",
        line() + "MARK|8|kirby|RUNNING|1:05|n1|MARK:x",
        line(nodes="n[1-"),
        line().replace("1:05", "soon"),
        "slurm_load_jobs error: something\n",
        "<html>proxy login</html>",
        f"7|kirby|RUNNING|1:05|n1|None|MARK:jarvice_{NAME}\n",
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_and_never_a_shorter_list(text: str) -> None:
    with pytest.raises(Nonsense):
        read(text)


@pytest.mark.parametrize("complaint", [b"", b"slurm_load_jobs error: Unable to contact slurm controller"])
def test_a_squeue_that_fails_is_an_error_whatever_it_printed(complaint: bytes) -> None:
    with pytest.raises(Unavailable):
        SQUEUE.parse(Completed(1, line().encode(), complaint))


def test_bytes_that_are_no_utf_8_in_anybodys_name_are_no_fault() -> None:
    answer = line("1", name="x").encode().replace(b"x\n", b"\xff\xfe\n") + line("7").encode()
    assert [job.job_id for job in SQUEUE.parse(Completed(0, answer))] == ["7"]


def test_a_prefix_that_begins_like_ours_is_another_portals() -> None:
    assert our_name("jarvice_2024-x", "jarvice_") == "2024-x"
    assert our_name("jarvice_test_2024-x", "jarvice_") is None
    assert our_name("jarvice_2024-x", "jarvice_test_") is None
