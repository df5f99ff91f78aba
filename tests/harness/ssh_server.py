"""A small SSH server in this process: real handshakes, and real bash for what is executed."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import paramiko
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)


def new_host_key() -> paramiko.PKey:
    """A host key that nobody has seen."""
    text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text.decode("ascii")))


class SshServer:
    """Lets users in by their public keys, each with a home folder of its own."""

    def __init__(
        self, folder: Path, users: Mapping[str, paramiko.PKey], host_key: paramiko.PKey, port: int = 0
    ) -> None:
        self.folder = folder
        self.users = users
        self.host_key = host_key
        self.more_host_keys: list[paramiko.PKey] = []
        """Of other types, for who prefers them."""
        self.start_files = ""
        """Bash that the login shell runs first, as ~/.bashrc."""
        self.logins: list[str] = []
        """Who has logged in, oldest first."""
        self.open_channels = 0
        self.most_channels = 0
        self.authority: paramiko.PKey | None = None
        """Whose certificates let users in too."""
        self.certificates: list[SSHCertificate] = []
        """With which users have logged in, oldest first."""
        self.forwarded: list[tuple[str, int]] = []
        """Where channels were opened to, oldest first."""
        self._lock = threading.Lock()
        self._transports: list[paramiko.Transport] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="ssh-server", daemon=True)
        self._accepting.start()

    def home(self, user: str) -> Path:
        """A user's home folder."""
        home = self.folder / user
        home.mkdir(parents=True, exist_ok=True)
        return home

    def live(self) -> list[paramiko.Transport]:
        """The connections that are open now."""
        with self._lock:
            return [transport for transport in self._transports if transport.is_active()]

    def drop_all(self) -> None:
        """Drop every connection, as a server that restarts."""
        for transport in self.live():
            transport.close()

    def stop(self) -> None:
        """Take no more connections and drop those there are."""
        self.take_no_more()
        self.drop_all()

    def take_no_more(self) -> None:
        """Refuse connections; those there are stay."""
        # A thread that still waits would take connections of the next server that gets this number.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(5)
        self._listener.close()

    def count_channel(self, change: int) -> None:
        """A channel was opened or closed."""
        with self._lock:
            self.open_channels += change
            self.most_channels = max(self.most_channels, self.open_channels)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(connection)
            transport.daemon = True
            for key in (self.host_key, *self.more_host_keys):
                transport.add_server_key(key)
            with self._lock:
                self._transports.append(transport)
            session = _Session(self)
            # With an event the negotiation goes on in the transport's own thread.
            transport.start_server(threading.Event(), session)
            threading.Thread(target=session.forward_channels, args=(transport,), daemon=True).start()


class _Session(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, server: SshServer) -> None:
        self._server = server
        self._user = ""
        self._may_forward = True
        self._far_ends: dict[int, socket.socket] = {}
        """What channels to other ports lead to, by the channel's number."""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        certificate = _certificate(key)
        if certificate:
            if not self._trusts(certificate, username):
                return paramiko.common.AUTH_FAILED
            self._server.certificates.append(certificate)
            self._may_forward = b"permit-port-forwarding" in certificate.extensions
        else:
            known = self._server.users.get(username)
            if known is None or known.get_base64() != key.get_base64():
                return paramiko.common.AUTH_FAILED
        self._user = username
        self._server.logins.append(username)
        return paramiko.common.AUTH_SUCCESSFUL

    def _trusts(self, certificate: SSHCertificate, user: str) -> bool:
        """As sshd with TrustedUserCAKeys and no AuthorizedPrincipalsFile."""
        try:
            certificate.verify_cert_signature()
        except InvalidSignature:
            return False
        signer = certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return (
            self._server.authority is not None
            and signer.split()[1].decode() == self._server.authority.get_base64()
            and certificate.type is SSHCertificateType.USER
            and user.encode() in certificate.valid_principals
            and certificate.valid_after <= time.time() < certificate.valid_before
            and not certificate.critical_options
        )

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        if not self._may_forward:
            return paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        try:
            self._far_ends[chanid] = socket.create_connection(destination, timeout=5)
        except OSError:
            return paramiko.common.OPEN_FAILED_CONNECT_FAILED
        self._server.forwarded.append(destination)
        return paramiko.common.OPEN_SUCCEEDED

    def forward_channels(self, transport: paramiko.Transport) -> None:
        """Copy what goes through channels to other ports, for as long as the connection lives."""
        others = []  # paramiko itself does not keep channels alive
        while transport.is_active():
            channel = transport.accept(0.5)
            far = self._far_ends.pop(channel.get_id(), None) if channel else None
            if channel and far:
                for source, target in ((channel, far), (far, channel)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()
            else:
                others.append(channel)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        home = self._server.home(self._user)
        process = subprocess.Popen(
            ["bash", "-c", f"{self._server.start_files}\n{command.decode()}"],
            cwd=home,
            env={"HOME": str(home), "USER": self._user, "SHELL": "/bin/bash", "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._server.count_channel(+1)
        threading.Thread(target=self._serve, args=(channel, process), daemon=True).start()
        return True

    def _serve(self, channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        threading.Thread(target=_feed, args=(channel, process), daemon=True).start()
        outputs = [
            threading.Thread(target=_pump, args=(process.stdout, channel.sendall), daemon=True),
            threading.Thread(target=_pump, args=(process.stderr, channel.sendall_stderr), daemon=True),
        ]
        for output in outputs:
            output.start()
        code = process.wait()
        for output in outputs:
            output.join(0.5)  # not for ever: a process that was left behind may hold it open
        with contextlib.suppress(OSError, EOFError):
            channel.send_exit_status(code if code >= 0 else 128 - code)
            channel.close()
        self._server.count_channel(-1)


class Firewall:
    """Stands between a client and a server, and forgets connections as a firewall does: without a word."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self._lock = threading.Lock()
        self._passing: list[threading.Event] = []
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="firewall", daemon=True).start()

    def forget(self) -> None:
        """Nothing passes any more on the connections there are, in neither direction; new ones do."""
        with self._lock:
            for passing in self._passing:
                passing.clear()

    def stop(self) -> None:
        """Take no more connections and close those there are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._behind))
            passing = threading.Event()
            passing.set()
            with self._lock:
                self._passing.append(passing)
                self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pass, args=(source, target, passing), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, passing: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if not passing.is_set():
                return
            target.sendall(data)
    if passing.is_set():
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    """What the client sends goes to the process; when the client goes, so does the process."""
    assert process.stdin is not None
    with contextlib.suppress(OSError, EOFError), process.stdin:
        while data := channel.recv(65536):
            process.stdin.write(data)
    process.kill()


def _certificate(key: paramiko.PKey) -> SSHCertificate | None:
    """What the client has shown with the key, if it is more than the key."""
    if not key.public_blob:
        return None
    line = f"{key.public_blob.key_type} {b64encode(key.public_blob.key_blob).decode()}"
    shown = load_ssh_public_identity(line.encode())
    assert isinstance(shown, SSHCertificate)
    return shown


def _copy(source: socket.socket | paramiko.Channel, target: socket.socket | paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError, EOFError):
            end.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError):
            end.close()


def _pump(source: IO[bytes], sink: Callable[[bytes], object]) -> None:
    with contextlib.suppress(OSError, EOFError), source:
        while data := os.read(source.fileno(), 65536):
            sink(data)
