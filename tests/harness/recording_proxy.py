"""A reverse proxy before slurmrestd: it remembers what was asked, can speak TLS, and can lose answers."""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from tests.harness.cluster import Cluster

_CLONE_NEWNET = 0x40000000
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Asked:
    """A request that came to the proxy."""

    method: str
    path: str
    token: str


class RecordingProxy:
    """Passes requests on to slurmrestd, and answers back."""

    def __init__(self, target: str, port: int) -> None:
        self._target = urlsplit(target).netloc
        self.port = port
        self.asked: list[Asked] = []
        """Every request that could be read, oldest first."""
        self.loses: Callable[[Asked], bool] = lambda asked: False
        """Whether to close the connection in place of an answer; slurmrestd gets the request all the same."""
        self.leads: Callable[[str], str] = lambda path: path
        """What slurmrestd is asked for in place of a path."""

    def paths(self) -> list[str]:
        """``METHOD /path`` of every request, oldest first."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def answer(self, asked: Asked, headers: dict[str, str], body: bytes) -> http.client.HTTPResponse | None:
        """slurmrestd's answer; None: there is none, or it is lost."""
        self.asked.append(asked)
        upstream = http.client.HTTPConnection(self._target, timeout=60)
        try:
            upstream.request(asked.method, self.leads(asked.path), body or None, headers)
            reply = upstream.getresponse()
        except (OSError, http.client.HTTPException):
            upstream.close()
            return None
        if self.loses(asked):
            upstream.close()
            return None
        return reply


@contextmanager
def recording_proxy(
    cluster: Cluster, *, tls: ssl.SSLContext | None = None, inside: bool = False
) -> Iterator[RecordingProxy]:
    """A proxy on this machine's loopback, or ``inside``: on the cluster's head, where only its nodes come."""
    listener = _listener_on_head(cluster) if inside else socket.create_server(("127.0.0.1", 0))
    proxy = RecordingProxy(cluster.url, listener.getsockname()[1])
    if tls:
        listener = tls.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
    server = _Server(("", 0), _handler_of(proxy), bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes, or does not trust us, is what tests are about."""


def _handler_of(proxy: RecordingProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION
            }
            asked = Asked(self.command, self.path, self.headers.get("X-SLURM-USER-TOKEN", ""))
            reply = proxy.answer(asked, headers, body)
            if reply is None:
                self.close_connection = True
                return
            answer = reply.read()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name.lower() not in _OF_ONE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _pass_on  # noqa: N815 - the names are http.server's

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


def _listener_on_head(cluster: Cluster) -> socket.socket:
    """A socket stays in the network namespace that it was made in, and so does no other of this process."""
    address = cluster.run("getent", "hosts", "head").split()[0]

    def listen() -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        namespace = os.open(Path("/run/netns") / f"jd-{cluster.variant}-head", os.O_RDONLY)
        try:
            if libc.setns(namespace, _CLONE_NEWNET):  # of this one thread
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(namespace)
        return socket.create_server((address, 0))

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(listen).result()
