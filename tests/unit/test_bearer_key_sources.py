"""Where keys come from: files that change, providers that are slow, broken or away."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.bearers import bearers_for
from pipeline.bearers.accepted import Verified
from pipeline.bearers.claims import Demands
from pipeline.bearers.keys import read_keys
from pipeline.bearers.sources import KeyFile, KeysAtUrl
from pipeline.errors import BearerRefused, SettingsFault, Unavailable
from pipeline.settings import load
from pipeline.settings.bearers import ALGORITHMS
from pipeline.transport import Limits
from pipeline.transport.http import HttpTransport
from tests.harness.certificates import Authority
from tests.harness.fake_connector import Clock
from tests.harness.http_server import HttpServer, Reaction, hang_up, reply, say
from tests.harness.oidc import IdentityProvider, SigningKey

READ = partial(read_keys, algorithms=ALGORITHMS)
FIRST, SECOND, THIRD = (SigningKey("ES256") for _ in range(3))
CLAIMS = IdentityProvider("https://login.example.com").claims("kirby", lifetime=24 * 3600)
"""Good for as long as all tests may take: they are made before the first one."""


def jwks(*keys: SigningKey) -> str:
    return json.dumps({"keys": [key.jwk() for key in keys]})


def believing(source: KeyFile | KeysAtUrl) -> Verified:
    return Verified(source, ALGORITHMS, Demands())


# Files.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(jwks(FIRST))
    return path


def test_a_file_is_read_again_when_it_has_changed(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bearers = believing(KeyFile(file, READ))
    assert bearers.of(FIRST.sign(CLAIMS))
    with pytest.raises(BearerRefused):
        bearers.of(SECOND.sign(CLAIMS))
    file.write_text(jwks(SECOND))
    assert bearers.of(SECOND.sign(CLAIMS))
    with pytest.raises(BearerRefused):
        bearers.of(FIRST.sign(CLAIMS))
    assert caplog.text.count("was read again") == 1


@pytest.mark.parametrize("broken", ["", "{", "hunter2", '{"keys": []}', "gone", "loose", "\udcff"])
def test_a_broken_edit_keeps_the_last_good_keys_and_says_so_once(
    file: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    bearers = believing(KeyFile(file, READ))
    if broken == "gone":
        file.unlink()
    elif broken == "loose":
        file.chmod(0o666)
    else:
        file.write_text(broken, errors="surrogateescape")
    for _ in range(3):
        assert bearers.of(FIRST.sign(CLAIMS))
        with pytest.raises(BearerRefused):
            bearers.of(SECOND.sign(CLAIMS))
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert f"{file} CANNOT BE USED: " in record.message
    assert "the keys that it held before still hold" in record.message
    assert "hunter2" not in record.message
    file.unlink(missing_ok=True)
    file.write_text(jwks(SECOND))
    assert bearers.of(SECOND.sign(CLAIMS))


def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    for content, said in ((None, "No such file"), ("{", "is not JSON"), ('{"keys": []}', "there is none")):
        path = tmp_path / "keys"
        if content is not None:
            path.write_text(content)
        with pytest.raises(SettingsFault) as fault:
            bearers_for(load({"JARVICE_DOWNSTREAM_BEARER_KEYS_FILE": str(path)}))
        [told] = fault.value.faults
        assert told.startswith(f"JARVICE_DOWNSTREAM_BEARER_KEYS_FILE: {path}: ")
        assert said in told


def test_a_file_that_others_can_change_is_not_taken(file: Path) -> None:
    file.chmod(0o664)
    with pytest.raises(SettingsFault, match="others can change it"):
        bearers_for(load({"JARVICE_DOWNSTREAM_BEARER_KEYS_FILE": str(file)}))
    file.chmod(0o644)
    assert bearers_for(load({"JARVICE_DOWNSTREAM_BEARER_KEYS_FILE": str(file)})).of(FIRST.sign(CLAIMS))


def test_keys_may_stand_in_the_setting_itself() -> None:
    assert bearers_for(load({"JARVICE_DOWNSTREAM_BEARER_KEYS": jwks(FIRST)})).of(FIRST.sign(CLAIMS))
    with pytest.raises(SettingsFault, match=r"^JARVICE_DOWNSTREAM_BEARER_KEYS: is neither a JWKS nor"):
        bearers_for(load({"JARVICE_DOWNSTREAM_BEARER_KEYS": "hunter 2"}))


# URLs.


@pytest.fixture
def server() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.stop()


class Fetched:
    """Keys of a server, with a clock that a test moves."""

    def __init__(self, server: HttpServer, ca_file: Path | None = None, **words: Any) -> None:
        self.server = server
        self.clock = Clock()
        transport = HttpTransport(server.url, connections=1, connect_timeout=2, ca_file=ca_file)
        self.source = KeysAtUrl(transport, "/keys", READ, max_age=600, clock=self.clock, **words)
        self.bearers = believing(self.source)

    def answers(self, *reactions: Reaction) -> None:
        self.server.reactions[:] = reactions

    @property
    def count(self) -> int:
        """How often the server was asked."""
        return len(self.server.requests)

    def believes(self, key: SigningKey) -> bool:
        try:
            self.bearers.of(key.sign(CLAIMS))
        except BearerRefused:
            return False
        return True


@pytest.fixture
def fetched(server: HttpServer) -> Fetched:
    return Fetched(server)


def keys(*of: SigningKey) -> Reaction:
    return reply(jwks(*of).encode())


def test_keys_are_fetched_once_and_kept(fetched: Fetched) -> None:
    fetched.answers(keys(FIRST))
    assert all(fetched.believes(FIRST) for _ in range(20))
    [request] = fetched.server.requests
    assert request.line == "GET /keys HTTP/1.1"
    assert "authorization" not in request.headers


def test_old_keys_are_fetched_again(fetched: Fetched) -> None:
    fetched.answers(keys(FIRST, SECOND), keys(SECOND))
    assert fetched.believes(FIRST)
    fetched.clock.now += 599
    assert (fetched.believes(FIRST), fetched.count) == (True, 1)
    fetched.clock.now += 1
    assert (fetched.believes(FIRST), fetched.count) == (False, 2), "a key that was withdrawn"
    assert (fetched.believes(SECOND), fetched.count) == (True, 2)


def test_a_token_of_a_new_key_has_the_keys_fetched_at_once(fetched: Fetched) -> None:
    fetched.answers(keys(FIRST), keys(SECOND, FIRST))
    assert fetched.believes(FIRST)
    fetched.clock.now += 5
    assert fetched.believes(SECOND)
    assert fetched.believes(FIRST)
    assert fetched.count == 2


def test_made_up_names_of_keys_do_not_hammer_the_provider(fetched: Fetched) -> None:
    fetched.answers(*[keys(FIRST)] * 50)
    assert fetched.believes(FIRST)
    for _ in range(40):
        assert not fetched.believes(THIRD)
        with pytest.raises(BearerRefused):
            fetched.bearers.of(THIRD.sign(CLAIMS, kid=os.urandom(8).hex()))
        fetched.clock.now += 0.5
    assert fetched.count == 4, "one each five of twenty seconds"


def test_a_wrong_signature_under_a_known_name_fetches_nothing(fetched: Fetched) -> None:
    fetched.answers(keys(FIRST))
    assert fetched.believes(FIRST)
    fetched.clock.now += 60
    with pytest.raises(BearerRefused):
        fetched.bearers.of(THIRD.sign(CLAIMS, kid=FIRST.id))
    assert fetched.count == 1


def test_many_who_want_the_first_keys_fetch_once(fetched: Fetched) -> None:
    begun = threading.Barrier(16)
    fetched.answers(keys(FIRST))

    def ask(_: int) -> bool:
        begun.wait(10)
        return fetched.believes(FIRST)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(16)))
    assert fetched.count == 1


def test_many_with_tokens_of_a_new_key_fetch_once(fetched: Fetched) -> None:
    fetched.answers(keys(FIRST), keys(SECOND))
    assert fetched.believes(FIRST)
    fetched.clock.now += 60
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: fetched.believes(SECOND), range(64)))
    assert fetched.count == 2


def test_while_one_fetches_in_place_of_old_keys_nobody_waits(fetched: Fetched) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slow(connection: object) -> bool:
        arrived.set()
        assert go_on.wait(10)
        return keys(FIRST)(connection)  # type: ignore[arg-type]  # a socket

    fetched.answers(keys(FIRST), slow)
    assert fetched.believes(FIRST)
    fetched.clock.now += 600
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fetched.believes, FIRST)
        assert arrived.wait(10)
        assert fetched.believes(FIRST)
        assert not first.done()
        go_on.set()
        assert first.result(10)
    assert fetched.count == 2


BROKEN: dict[str, tuple[Reaction, str]] = {
    "hangs up": (hang_up, "127.0.0.1"),
    "is down": (reply(b"upstream is away", 503), "is answered with 503"),
    "sends elsewhere": (reply(b"", 302), "is answered with 302"),
    "wants a login": (reply(b"<html>", 200), "is neither a JWKS nor public keys"),
    "knows nothing": (reply(b"{}", 404), "is answered with 404"),
    "has no keys": (reply(b'{"keys": []}'), "there is none"),
    "has keys for encryption only": (
        reply(json.dumps({"keys": [FIRST.jwk(use="enc")]}).encode()), "is not for signatures"
    ),
    "says nothing": (reply(b""), "there is none"),
    "is cut off": (reply(jwks(FIRST).encode()[:-9]), "is not JSON"),
    "is endless": (reply(b"[" * (1024 * 1024 + 1)), "has more than 1048576 bytes"),
    "is deep": (reply(b'{"keys":' + b"[" * 500_000), "is not JSON"),
    "is no HTTP": (say(b"SSH-2.0-OpenSSH_9.2\r\n"), "127.0.0.1"),
    "is binary": (reply(bytes(range(256))), "is neither a JWKS"),
}  # fmt: skip


@pytest.mark.parametrize(("reaction", "said"), BROKEN.values(), ids=BROKEN)
def test_without_keys_nobody_is_believed_and_with_old_ones_they_still_hold(
    fetched: Fetched, reaction: Reaction, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    fetched.answers(*[reaction] * 3)
    for _ in range(5):
        with pytest.raises(Unavailable, match="bearer tokens cannot be verified now: .*" + said):
            fetched.believes(FIRST)
    assert fetched.count <= 3, "asked again within seconds, but for what HTTP repeats"
    assert "no job is taken until they are there" in caplog.text
    fetched.answers(keys(FIRST), *[reaction] * 3)
    fetched.clock.now += 5
    assert fetched.believes(FIRST), "as soon as the provider is back"
    before = fetched.count
    caplog.clear()
    fetched.clock.now += 600
    assert all(fetched.believes(FIRST) for _ in range(5))
    assert before < fetched.count <= before + 3
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert said in record.message
    assert "those fetched before are used" in record.message
    fetched.answers(keys(SECOND))
    fetched.clock.now += 30
    assert (fetched.believes(FIRST), fetched.believes(SECOND)) == (False, True)


def test_a_token_of_an_unknown_key_is_not_refused_while_the_provider_is_away(fetched: Fetched) -> None:
    """It may be a new key's: whoever asks again once the provider is back, is let in."""
    fetched.answers(keys(FIRST), reply(b"", 503))
    assert fetched.believes(FIRST)
    fetched.clock.now += 60
    for _ in range(3):
        with pytest.raises(Unavailable, match="is answered with 503"):
            fetched.believes(SECOND)
    fetched.clock.now += 29
    with pytest.raises(Unavailable):
        fetched.believes(SECOND)
    assert fetched.believes(FIRST)
    assert fetched.count == 2, "it is left alone for a while"
    fetched.answers(keys(FIRST, SECOND))
    fetched.clock.now += 1
    assert fetched.believes(SECOND)


def test_a_slow_provider_is_given_up(server: HttpServer) -> None:
    for slow in (server.stall, server.drip, server.drip_headers):
        fetched = Fetched(server, limits=Limits(seconds=0.3))
        fetched.answers(slow)
        with pytest.raises(Unavailable, match=r"no answer within 0\.3 s"):
            fetched.believes(FIRST)


def test_a_provider_with_a_certificate_of_the_sites_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    server = HttpServer(authority.server())
    try:
        known = Fetched(server, authority.ca_file)
        known.answers(keys(FIRST))
        assert known.believes(FIRST)
        for stranger in (Fetched(server), Fetched(server, Authority(tmp_path / "other").ca_file)):
            stranger.answers(keys(FIRST))
            with pytest.raises(Unavailable, match=r"certificate verify failed.*; .*_BEARER_CA_FILE says who"):
                stranger.believes(FIRST)
    finally:
        server.stop()


def test_the_whole_of_a_url_is_asked_for(server: HttpServer) -> None:
    server.reactions.append(keys(FIRST))
    url = f"{server.url}/realms/a/certs?client=b"
    bearers = bearers_for(load({"JARVICE_DOWNSTREAM_BEARER_KEYS_URL": url}))
    assert bearers.of(FIRST.sign(CLAIMS))
    bearers.close()
    assert server.requests[0].line == "GET /realms/a/certs?client=b HTTP/1.1"
