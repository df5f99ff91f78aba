"""Secrets are blanked out of whatever is said, whichever way they got there; ordinary words are not."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from pipeline import redaction
from pipeline.redaction import MASK, LogLines, forget_here, know, know_here, redact, redact_known
from tests.harness.keys import b64

KEY = "jarvice:päss'word 1"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJlbWFpbCI6ImtpcmJ5QGV4YW1wbGUuY29tIn0.c2lnbmF0dXJl"
PEM = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    + "b3BlbnNzaC1rZXktdjEAAAAABG5v" * 3
    + "\n-----END OPENSSH PRIVATE KEY-----\n"
)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_known", {})
    forget_here()
    yield
    forget_here()


@pytest.mark.parametrize("way", [redact, redact_known])
@pytest.mark.parametrize(
    "spelled",
    [KEY, KEY.partition(":")[2], b64(KEY), b64("päss'word 1"), json.dumps(KEY)[1:-1], repr(KEY)[1:-1],
     quote(KEY, safe=""), quote(KEY), quote_plus(KEY)],
)  # fmt: skip
def test_a_login_of_the_settings_is_found_however_it_is_spelled(way: object, spelled: str) -> None:
    know("settings", [KEY])
    assert callable(way)
    assert way(f"before {spelled} after") == f"before {MASK} after"


def test_a_renewed_secret_takes_the_place_of_the_old_one() -> None:
    know("token", ["the-first-token"])
    know("other", ["what-else-there-is"])
    know("token", ["the-second-token"])
    said = redact("the-first-token the-second-token what-else-there-is")
    assert said == f"the-first-token {MASK} {MASK}"


def test_one_line_of_a_key_is_found_also_in_a_repr() -> None:
    know("users id mapping", [PEM])
    line = PEM.splitlines()[1]
    assert redact_known(f"cannot read {line} of it") == f"cannot read {MASK} of it"
    assert line not in redact_known(repr(PEM))
    assert line not in redact_known(json.dumps(PEM))
    assert redact_known("x" * 84) == "x" * 84


def test_a_registry_password_that_is_a_key_in_json_is_found_in_every_form() -> None:
    password = json.dumps({"type": "service_account", "private_key": PEM})
    know("settings", [password])
    line = PEM.splitlines()[1]
    for shown in (password, json.dumps(password), PEM, f"echo {line}", f"login {b64(password)}"):
        said = redact_known(shown)
        assert line not in said
        assert b64(password) not in said


def test_a_secret_that_is_part_of_words_is_not_looked_for() -> None:
    know("settings", ["u:job"])
    know_here(["ran"])
    assert redact("the job ran") == "the job ran"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"key: {PEM}rest", f"key: {MASK}\nrest"),
        (PEM[:60], MASK),
        (f"key {b64(PEM)}", f"key {MASK}"),
        (f"token {TOKEN}, expired", f"token {MASK}, expired"),
        (repr(f"token:\n{TOKEN}"), repr(f"token:\n{MASK}")),
        (json.dumps(json.dumps(f"token:\n{TOKEN}")), json.dumps(json.dumps(f"token:\n{MASK}"))),
        (f"args=%22{TOKEN}%22", f"args=%22{MASK}%22"),
        (f"\\u0022{TOKEN}\\u0022", f"\\u0022{MASK}\\u0022"),
        (f"/tmp/token_{TOKEN} a-{TOKEN}", f"/tmp/token_{MASK} a-{MASK}"),
        ("Authorization: Bearer abc", f"Authorization: {MASK}"),
        ("{'Authorization': 'Basic dTpw', 'A': '*'}", f"{{'Authorization': '{MASK}', 'A': '*'}}"),
        ("('Authorization', b'Basic dTpw')", f"('Authorization', b'{MASK}')"),
        ("sent Basic dTpw to it", f"sent Basic {MASK} to it"),
        ("bearer a1b2c3d4", f"bearer {MASK}"),
        ('"X-SLURM-USER-TOKEN": "secret"', f'"X-SLURM-USER-TOKEN": "{MASK}"'),
        ("SLURM_JWT=secret\nnext", f"SLURM_JWT={MASK}\nnext"),
        ("http://user:word@proxy:3128/", f"http://user:{MASK}@proxy:3128/"),
    ],
)  # fmt: skip
def test_what_has_the_form_of_a_secret_is_blanked_out(said: str, shown: str) -> None:
    assert redact(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "HTTP Basic credentials as in JARVICE_SCHED_SERVER_KEY are needed",
        "can run jobs as any mapped user: bearer tokens are not verified",
        "bearer: is not a JSON Web Token (Not enough segments)",
        "SLURM_JWT: is not a JSON Web Token (Not enough segments)",
        "SLURM_JWT is not set: through slurmrestd a job is sent with its user's own token",
        "http://127.0.0.1:5000/request/20240102030405-abcdef-kirby_s1/1/7/tail",
        "kirby@example.com, authorization failed",
        "cannot connect to heyJude1.hpc.example.com",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_ordinary_words_stay(said: str) -> None:
    assert redact(said) == said


@pytest.mark.parametrize(
    "part",
    ["eyJ-", "eyJaaaa.", "-eyJaaaa", "a_", "authorization", "authorization: ", "basic ", "://a:", "a:",
     "-----BEGIN ", "-----BEGIN A", "-----BEGIN PRIVATE KEY-----", "-----END ", "LS0tLS1CRUdJTi", " ", "A"],
)  # fmt: skip
def test_no_text_takes_long_to_look_through(part: str) -> None:
    text = f"@bearer {part * (200_000 // len(part))}"
    begun = time.thread_time()
    redact(text)
    assert time.thread_time() - begun < 2


def test_the_output_of_a_job_is_its_users_but_for_what_is_ours() -> None:
    know("settings", [KEY])
    assert redact_known(f"Authorization: Bearer x1\n{KEY}\n") == f"Authorization: Bearer x1\n{MASK}\n"


def test_a_jobs_secrets_are_those_of_the_thread_that_works_on_it() -> None:
    know_here(["hunter22"])
    elsewhere: list[str] = []
    thread = threading.Thread(target=lambda: elsewhere.append(redact("hunter22")))
    thread.start()
    thread.join()
    assert (redact("hunter22"), elsewhere) == (MASK, ["hunter22"])
    forget_here()
    assert redact("hunter22") == "hunter22"


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LogLines("%(levelname)s %(message)s"))
    logger = logging.Logger("of a test")
    logger.addHandler(handler)
    return logger, written


def test_the_finished_text_of_a_record_is_looked_through_traceback_and_all(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    know("settings", [KEY])
    logger, written = log

    def fails() -> None:
        raise ValueError(f"cannot use {KEY}") from OSError(PEM)

    try:
        fails()
    except ValueError:
        logger.exception("with %s and %r", TOKEN, {"Authorization": "Bearer abc"})
    said = written.getvalue()
    assert "Traceback" in said
    assert "ValueError: cannot use ********" in said
    for secret in (KEY, TOKEN, "Bearer abc", *PEM.splitlines()):
        assert secret not in said


def test_no_text_from_outside_looks_like_a_record_or_moves_a_terminal(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, written = log
    logger.warning("job %s", "x\nERROR the cluster burns\r\x1b[2J\x85ERROR")
    first, *more = written.getvalue().splitlines()
    assert first == "WARNING job x"
    assert more
    assert all(line.startswith("    ") for line in more)
    assert "\x1b" not in written.getvalue()


def test_a_thread_that_ends_by_a_fault_says_so_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr("sys.excepthook", print)
    redaction.hook_into_python()
    logging.captureWarnings(capture=False)

    def fails() -> None:
        raise ValueError("why")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    assert "a thread ended" in caplog.text
    assert "ValueError: why" in caplog.text


def test_what_python_can_only_complain_of_goes_through_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, print)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    redaction.hook_into_python()
    logging.captureWarnings(capture=False)

    class Fails:
        def __del__(self) -> None:
            raise ValueError("why")

    Fails()
    assert "ValueError: why" in caplog.text
    assert "why" not in capfd.readouterr().err
