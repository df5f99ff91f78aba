"""How much one client may ask: requests a second, wrong logins a minute, fields of a form."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import IO

from flask import Request, request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from pipeline.errors import NotAuthenticated, TooManyRequests

_log = logging.getLogger(__name__)

MOST_FIELDS = 16
"""Of a form: the contract has one."""

_MOST_ADDRESSES = 4096


@dataclass
class _Bucket:
    tokens: float
    filled: float
    is_told: bool = False


class Buckets:
    """A bucket of tokens for each address, filled at a steady rate. Safe for any number of threads.

    Of the addresses that were seen last a few thousand are remembered: one that is forgotten begins anew.
    """

    def __init__(
        self, rate: float, burst: float, what: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``rate`` tokens a second, ``burst`` at the most, for ``what``, as messages say; rate 0: no end."""
        self._rate = rate
        self._burst = burst
        self._what = what
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, address: str, tokens: float = 1) -> None:
        """Take these from the bucket, or with 0 only look whether one is there.

        Raises:
            TooManyRequests: the bucket is empty; says when it is no more.
        """
        if not self._rate:
            return
        with self._lock:
            bucket = self._filled(address)
            if bucket.tokens >= 1:
                bucket.tokens -= tokens
                return
            wait = (1 - bucket.tokens) / self._rate
            is_news, bucket.is_told = not bucket.is_told, True
        message = f"too many {self._what} from {address}"
        if is_news:
            _log.warning("%s; more are refused for %.0f s or longer", message, wait)
        raise TooManyRequests(message, retry_after=wait)

    def __len__(self) -> int:
        return len(self._buckets)

    def _filled(self, address: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = _Bucket(self._burst, now)
            if len(self._buckets) > _MOST_ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled) * self._rate)
        bucket.filled = now
        if bucket.tokens >= self._burst:
            bucket.is_told = False
        return bucket


class Doorkeeper:
    """Lets requests in: not too many from one address, and only with the login, if there is one.

    The address is that of the connection: of all clients behind an ingress it is the same. Of IPv6 it is
    the network of 64 bits, all of whose addresses one machine may have.
    """

    def __init__(
        self,
        server_key: str,
        *,
        requests_a_second: float = 0,
        wrong_logins_a_minute: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``server_key`` is ``<user>:<password>`` or empty. Limits of 0 are none."""
        self._server_key = server_key.encode("utf-8")
        self._requests = Buckets(requests_a_second, 2 * requests_a_second, "requests", clock=clock)
        self._wrong = Buckets(
            wrong_logins_a_minute / 60, max(1, wrong_logins_a_minute), "wrong logins", clock=clock
        )

    def let_in(self) -> None:
        """Raises TooManyRequests or NotAuthenticated."""
        address = _counted(request.remote_addr or "nowhere")
        self._requests.take(address)
        if not self._server_key:
            return
        # With an empty bucket not even the right login is let in: who guesses would learn that it is.
        self._wrong.take(address, 0)
        if not hmac.compare_digest(_login().encode("utf-8", "surrogatepass"), self._server_key):
            self._wrong.take(address)
            raise NotAuthenticated("HTTP Basic credentials as in JARVICE_SCHED_SERVER_KEY are needed")


def _counted(address: str) -> str:
    """What shares one limit with this address."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), 64), strict=False))


def _login() -> str:
    """What the request carries, as ``<user>:<password>``; empty for anything else."""
    try:
        given = request.authorization
    except ValueError:  # Werkzeug, of base64 that is not even ASCII
        return ""
    return f"{given.username}:{given.password}" if given and given.type == "basic" else ""


class FewFields(FormDataParser):
    """Reads forms of a few fields; millions of empty ones would take memory and time."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Raises RequestEntityTooLarge; Werkzeug itself counts only the parts of multipart forms."""
        if mimetype == "application/x-www-form-urlencoded":
            data = stream.read()
            if data.count(b"&") >= MOST_FIELDS:
                raise RequestEntityTooLarge(f"a form has {MOST_FIELDS} fields at the most")
            stream = BytesIO(data)
        return super().parse(stream, mimetype, content_length, options)


class SmallRequest(Request):
    """A request whose form has a few fields."""

    form_data_parser_class = FewFields
