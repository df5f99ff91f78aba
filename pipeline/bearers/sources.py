"""Where the keys that verify tokens come from, and when they are looked for again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from pipeline.bearers.keys import Keys
from pipeline.errors import Unavailable
from pipeline.settings.kept_file import WatchedFile
from pipeline.transport import Limits
from pipeline.transport.http import HttpRequest, HttpTransport
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)

Read = Callable[[str], Keys]
"""Makes keys of a text. Raises ValueError, which says why it cannot."""

_URL = "JARVICE_DOWNSTREAM_BEARER_KEYS_URL"
_VOUCHED = "; JARVICE_DOWNSTREAM_BEARER_CA_FILE says who vouches for the identity provider"

_LIMITS = Limits(seconds=5.0, output_bytes=1024 * 1024)


class Source(Protocol):
    """Keeps the keys. Safe for any number of threads."""

    def current(self) -> Keys:
        """The keys, as far as they are known. Raises Unavailable when they never were."""
        ...

    def renewed(self, old: Keys) -> Keys:
        """The keys of now, for a token of a key that the old ones do not know.

        Raises:
            Unavailable: what they are now cannot be known.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class GivenKeys:
    """Keys that stay as they are."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def current(self) -> Keys:
        """The keys."""
        return self._keys

    def renewed(self, old: Keys) -> Keys:
        """The same."""
        return old

    def close(self) -> None:
        """Nothing to close."""


class KeyFile:
    """Keys in a file, read again when it has changed. Where that cannot be used, the last good keys hold."""

    def __init__(self, path: Path, read: Read) -> None:
        """Raises OSError or ValueError: there are no keys to begin with."""
        self._file = WatchedFile(path)
        self._read = read
        self._lock = threading.Lock()
        self._content = self._file.read()
        self._keys = self._parsed()
        self._told = ""
        _log.info("keys of bearer tokens: %s holds %s", path, self._keys)

    def current(self) -> Keys:
        """The keys that the file holds, or held when it could last be used."""
        with self._lock:
            try:
                content = self._file.read()
                if content is not self._content:
                    self._content = content
                    self._keys = self._parsed()
                    _log.info("keys of bearer tokens: %s was read again: %s", self._file.path, self._keys)
                self._told = ""
            except (OSError, ValueError) as fault:
                self._tell(getattr(fault, "strerror", None) or str(fault))
            return self._keys

    def renewed(self, old: Keys) -> Keys:
        """The same as ``current``, which has looked at the file."""
        return self.current()

    def close(self) -> None:
        """Nothing to close."""

    def _parsed(self) -> Keys:
        return self._read(self._content.unchanged_by_others().decode("utf-8"))

    def _tell(self, fault: str) -> None:
        """Once, however often the file is looked at."""
        if fault != self._told:
            self._told = fault
            _log.error(
                "JARVICE_DOWNSTREAM_BEARER_KEYS_FILE: %s CANNOT BE USED: %s; the keys that it held before "
                "still hold",
                self._file.path, fault,
            )  # fmt: skip


class KeysAtUrl:
    """Keys that an identity provider publishes: kept, fetched again in time, and kept on while it is away."""

    PAUSE = 5.0
    """Seconds between fetches at the least: tokens with made-up names of keys come to nothing by it."""
    AFTER_FAILURE = 30.0
    """The same after a failure, while there are old keys."""

    def __init__(
        self,
        transport: HttpTransport,
        path: str,
        read: Read,
        *,
        max_age: float,
        limits: Limits = _LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``path`` is what is asked of the server; keys older than ``max_age`` seconds are fetched again."""
        self._limits = limits
        self._transport = transport
        self._path = path
        self._read = read
        self._max_age = max_age
        self._clock = clock
        self._keys: Keys | None = None
        self._fault: Unavailable | None = None
        """Of the last fetch."""
        self._tried = float("-inf")
        self._due = float("-inf")
        self._lock = threading.Lock()
        self._fetching = OneForAll()

    def current(self) -> Keys:
        """The keys as they were fetched last. Who finds them old fetches them, and nobody waits for that."""
        keys = self._keys
        if keys is None:
            return self.renewed(None)
        if self._is_mine_to_fetch():
            try:
                with self._turn():
                    return self._fetch()
            except Unavailable:
                pass  # told already
        return keys

    def renewed(self, old: Keys | None) -> Keys:
        """The keys of now, or those of ``PAUSE`` seconds ago. One fetches for all who want them."""
        with self._turn():
            if self._keys is not None and self._keys is not old:
                return self._keys
            # A provider that hangs must not hold up who has nothing to do with it.
            pause = self.AFTER_FAILURE if old and self._fault else self.PAUSE
            is_too_early = self._clock() - self._tried < pause
            if is_too_early and self._fault:
                raise self._fault.again()
            return old if is_too_early and old else self._fetch()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _turn(self) -> AbstractContextManager[None]:
        return self._fetching.turn(
            "the keys of bearer tokens are still being fetched", 2 * self._limits.seconds
        )

    def _is_mine_to_fetch(self) -> bool:
        """Whether the keys are old, and nobody else has been told so."""
        with self._lock:
            now = self._clock()
            if now < self._due:
                return False
            self._due = now + self.AFTER_FAILURE
            return True

    def _fetch(self) -> Keys:
        self._tried = self._clock()
        self._due = self._tried + self.AFTER_FAILURE
        try:
            keys = self._read_answer()
        except Unavailable as fault:
            kept = "those fetched before are used" if self._keys else "no job is taken until they are there"
            _log.warning("keys of bearer tokens: %s; %s", fault, kept)
            self._fault = Unavailable(f"bearer tokens cannot be verified now: {fault}")
            raise self._fault.again() from None
        if str(keys) != str(self._keys) or self._fault:
            _log.info("keys of bearer tokens: fetched %s", keys)
        self._keys, self._fault = keys, None
        self._due = self._tried + self._max_age
        return keys

    def _read_answer(self) -> Keys:
        request = HttpRequest("GET", self._path, {"Accept": "application/json"}, repeatable=True)
        try:
            reply = self._transport.ask(request, self._limits)
        except Unavailable as fault:
            way_out = _VOUCHED if "CERTIFICATE_VERIFY_FAILED" in fault.message else ""
            raise Unavailable(f"{_URL}: {fault.message}{way_out}") from None
        if reply.status != HTTPStatus.OK:
            raise Unavailable(f"{_URL}: {self._path} is answered with {reply.status}")
        try:
            return self._read(reply.text())
        except ValueError as reason:
            raise Unavailable(f"{_URL}: what it answers {reason}") from None
