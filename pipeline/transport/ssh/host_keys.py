"""Whether a host is the one that it should be, as OpenSSH's StrictHostKeyChecking decides it."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko

from pipeline.errors import Unavailable
from pipeline.transport.ssh.host import Host
from pipeline.transport.ssh.known_hosts import AUTHORITY, REVOKED, KnownHost, read_known_hosts

_log = logging.getLogger(__name__)

_ALGORITHMS: Mapping[str, tuple[str, ...]] = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""What a key of this type signs with, where it is not the type itself."""

_PATIENCE = 5.0
"""Seconds for another process to write a line."""


class HostKeys(paramiko.MissingHostKeyPolicy):
    """Decides over one host's key; paramiko, which is given no keys, asks it about each."""

    def __init__(self, host: Host) -> None:
        """Raises Unavailable when a file of host keys cannot be read; names it."""
        self._host = host
        self._name = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
        self._place = f"{host.address} port {host.port}"
        self._files = [_lines(file, host) for file in host.known_hosts_files()]

    def transport(self, raw: Any, /, **words: Any) -> paramiko.Transport:
        """A transport that asks for a type of key that is known of the host, if it has one of several."""
        transport = paramiko.Transport(raw, **words)
        wanted = {name for line in self._known() for name in _ALGORITHMS.get(line.kind, (line.kind,))}
        options = transport.get_security_options()
        options.key_types = sorted(options.key_types, key=lambda kind: kind not in wanted)
        return transport

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Let the host through or not. Raises Unavailable with what to do."""
        if self._is_known(key):
            return
        if self._host.strict:
            raise Unavailable(
                f"the host key of {self._place} is not known: it is {key.get_name()} {key.fingerprint}, and "
                f"only known ones are taken. Compare it with the host's own, then put the line that "
                f"{self._scan()} prints into {self._host.known_hosts_files()[0]}"
            )
        try:
            self._remember(key)
        except OSError as fault:
            raise Unavailable(
                f"the host key of {self._place} cannot be remembered in {self._host.known_hosts}: "
                f"{fault.strerror or fault}"
            ) from None

    def _is_known(self, key: paramiko.PKey) -> bool:
        """Whether it is the key that the host should have; False: nothing is known of the host.

        Raises:
            Unavailable: it is another, a revoked one, or only a host certificate would do.
        """
        blob = key.asbytes()
        lines = [line for file in self._files for line in file]
        names = (self._name, self._host.address)
        if any(
            line.mark == REVOKED and line.key == blob and any(map(line.is_about, names)) for line in lines
        ):
            raise Unavailable(
                f"the host key of {self._place}, {key.fingerprint}, is revoked in {self._all_files()}: "
                "whoever answers there must not be trusted until the host has a new key"
            )
        known = self._known()
        if any(line.key == blob for line in known):
            return True
        if known:
            raise Unavailable(
                f"the host key of {self._place} has changed: it is now {key.fingerprint}. Somebody may be in "
                f"between; if the change is meant, remove the host's line from {self._all_files()}"
            )
        if any(line.mark == AUTHORITY and line.is_about(self._name) for line in lines):
            raise Unavailable(
                f"the host key of {self._place}, {key.fingerprint}, cannot be checked: {self._all_files()} "
                f"has only {AUTHORITY} for this host, and host certificates are not read. Put the line with "
                f"the host's own key there too; {self._scan()} prints it"
            )
        return False

    def _known(self) -> list[KnownHost]:
        """The host's keys in the first file that has any."""
        for file in self._files:
            if known := [line for line in file if not line.mark and line.is_about(self._name)]:
                return known
        return []

    def _remember(self, key: paramiko.PKey) -> None:
        """Raises OSError, or Unavailable: another process has remembered another key meanwhile."""
        file = self._host.known_hosts
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(file):
            self._files = [_lines(one, self._host) for one in self._host.known_hosts_files()]
            if self._is_known(key):
                return
            _add_line(file, f"{self._name} {key.get_name()} {key.get_base64()}\n")
        _log.warning(
            "host key of %s seen for the first time, remembered in %s: %s", self._name, file, key.fingerprint
        )

    def _all_files(self) -> str:
        return " or ".join(map(str, self._host.known_hosts_files()))

    def _scan(self) -> str:
        port = "" if self._host.port == 22 else f"-p {self._host.port} "
        return f"`ssh-keyscan {port}{self._host.address}`"


def _lines(file: Path, host: Host) -> list[KnownHost]:
    if file == host.known_hosts and not file.exists():
        return []
    return read_known_hosts(file)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Be the only one who writes the file, of all threads and processes. Raises OSError."""
    with file.with_name(file.name + ".lock").open("a") as lock:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield


def _add_line(file: Path, line: str) -> None:
    """A new file takes the place of the old one, so that none is ever seen with half a line."""
    file = file.resolve()  # a link stays one
    new = file.with_name(file.name + ".new")
    before, mode = b"", 0o600
    if file.exists():
        before, mode = file.read_bytes(), stat.S_IMODE(file.stat().st_mode)
    if before and not before.endswith(b"\n"):
        before += b"\n"
    with new.open("wb") as out:
        os.fchmod(out.fileno(), mode)
        out.write(before + line.encode("ascii"))
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
