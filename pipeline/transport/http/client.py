"""One HTTP server, asked over kept connections, with bounds on time, size and repetition."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path

import requests
from urllib3 import Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from pipeline.errors import Unavailable, Unreachable
from pipeline.transport import HttpReply, Limits
from pipeline.transport.http.channels import NOT_CONNECTED, ChannelAdapter, OpenChannel

_PAUSES = (0.1, 0.4)
"""Seconds before the second and the third try."""

_CHUNK = 256 * 1024


class AnswerLost(Exception):
    """The request was sent, perhaps in part; whether it was carried out is not known."""


class _NotSent(Exception):
    """No connection: the far side has seen nothing of the request."""


class _GivenUp(Exception):
    """The server was slow or said too much; it would the next time."""


@dataclass(frozen=True)
class HttpRequest:
    """What is asked. Headers may hold secrets and are never shown."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    repeatable: bool = False
    """Whether asking twice does no harm."""


class HttpTransport:
    """Asks one server. Safe for any number of threads."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        connect_timeout: float,
        ca_file: Path | None = None,
        through: OpenChannel | None = None,
    ) -> None:
        """``connections`` are kept at the most; ``through`` opens a channel to the server."""
        self._url = url
        self._connections = connections
        self._free = threading.BoundedSemaphore(connections)
        self._connect_timeout = connect_timeout
        self._session = requests.Session()
        # Neither a proxy nor a login of this machine is meant for this server.
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True
        # What is set with one user's answer must not go out with another's token.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.mount(url, ChannelAdapter(connections, connect_timeout, through))

    def ask(self, request: HttpRequest, limits: Limits) -> HttpReply:
        """Send a request; again, a few times, where that does no harm.

        Raises:
            AnswerLost: a request that is not repeatable was cut off.
            Unreachable: the server cannot be reached, or took too long.
            Unavailable: it said too much, or all connections to it stayed in use.
        """
        deadline = time.monotonic() + limits.seconds
        for pause in (*_PAUSES, None):
            try:
                return self._ask_once(request, deadline, limits)
            except (_NotSent, AnswerLost) as fault:
                reason = str(fault)
                if isinstance(fault, AnswerLost) and not request.repeatable:
                    raise AnswerLost(f"{self._url}: {reason}") from None
            if pause is None or time.monotonic() + pause >= deadline:
                break
            time.sleep(pause)
        raise Unreachable(f"{self._url}: {reason}") from None

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def _ask_once(self, request: HttpRequest, deadline: float, limits: Limits) -> HttpReply:
        try:
            return self._exchange(request, deadline, limits)
        except (requests.RequestException, HTTPError, OSError, EOFError, _GivenUp) as fault:
            if isinstance(_cause(fault), NewConnectionError):
                raise _NotSent(_reason(fault)) from None
            if isinstance(_cause(fault), ConnectTimeoutError):
                raise _NotSent(f"no connection within {self._connect_timeout:g} s") from None
            if isinstance(fault, _GivenUp):
                reason = str(fault)
            elif isinstance(fault, requests.Timeout | ReadTimeoutError) or time.monotonic() >= deadline:
                reason = f"no answer within {limits.seconds:g} s"
            else:
                raise AnswerLost(_reason(fault)) from None
            if request.repeatable:
                kind = Unavailable if isinstance(fault, _GivenUp) else Unreachable
                raise kind(f"{self._url}: {reason}") from None
            raise AnswerLost(reason) from None

    @contextmanager
    def _turn(self, patience: float) -> Iterator[None]:
        """Have one of the connections; left to itself the pool would wait for one without end."""
        if not self._free.acquire(timeout=patience):
            raise Unavailable(
                f"{self._url}: all {self._connections} connections stayed busy for {patience:.1f} s"
            )
        try:
            yield
        finally:
            self._free.release()

    def _exchange(self, request: HttpRequest, deadline: float, limits: Limits) -> HttpReply:
        with self._turn(_left(deadline)):
            left = _left(deadline)
            with self._session.request(
                request.method,
                self._url + request.path,
                headers=request.headers,
                data=request.body or None,
                # requests hands it on; a pair of numbers would bound connecting and reading each for itself
                timeout=Timeout(total=left),  # type: ignore[arg-type]  # the stubs know numbers only
                stream=True,
                allow_redirects=False,
            ) as reply:
                return HttpReply(reply.status_code, _body(reply, limits))


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())


def _body(reply: requests.Response, limits: Limits) -> bytes:
    body = bytearray()
    # read1 takes what there is: read waits for a whole chunk, however slowly it trickles in.
    while chunk := reply.raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if len(body) > limits.output_bytes:
            raise _GivenUp(f"the answer has more than {limits.output_bytes} bytes")
    return bytes(body)


def _cause(fault: BaseException) -> object:
    """What urllib3 says is behind an error of requests."""
    inner = fault.args[0] if fault.args else fault
    return getattr(inner, "reason", None) or inner


def _reason(fault: BaseException) -> str:
    """One line for a person, without urllib3's objects in it."""
    cause = _cause(fault)
    text = str(cause) or type(cause).__name__
    if isinstance(cause, NewConnectionError):
        text = text.rpartition(NOT_CONNECTED)[2]
    return " ".join(text.split())
