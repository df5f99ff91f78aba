"""One remote bash, kept open and fed with commands.

sshd needs several milliseconds of both sides' CPU for each new channel; a shell that stays needs
none of it. Each command is framed: its standard input comes first, with its length; its two
output streams end with a mark that is new and random for each command, so that nothing a command
prints can be taken for the end.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import threading
import time
from dataclasses import dataclass, field

import paramiko

from pipeline.transport import Completed, Limits

_CHUNK = 1024 * 1024

_INPUT_FILE = "/dev/fd/3"
_OPEN_INPUT_FILE = b't=$(mktemp) && exec 3<>"$t" && rm -f "$t" || exit\n'
"""A file without a name, gone with the shell, for the input of one command after the other."""


class ConnectionDropped(Exception):
    """The far side went away; what was asked of it may or may not have been done."""


class CommandTimedOut(Exception):
    """The command did not end in time; it may still be running."""


class OutputTooLarge(Exception):
    """The command printed more than the caller takes."""


@dataclass
class _Stream:
    """One output stream until the mark that ends it."""

    mark: bytes
    data: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def take(self, chunk: bytes) -> None:
        self.data += chunk
        # The mark is searched for at the end only: nothing follows it until the next command.
        self.ended = self.data.endswith(b"\n") and self.mark in self.data[-len(self.mark) - 8 :]


class RemoteShell:
    """A bash on a channel of its own. One command at a time; used by one thread at a time."""

    def __init__(self, channel: paramiko.Channel, start_line: str, limits: Limits) -> None:
        """Start it. Raises as ``run`` does."""
        self._channel = channel
        _execute(channel, start_line, limits.seconds)
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)
        # A login shell's start files may print: what comes before the first mark is nobody's answer.
        mark = secrets.token_hex(16)
        self._exchange(_OPEN_INPUT_FILE + _frame(":", b"", mark), mark, limits)

    def run(self, line: str, stdin: bytes, limits: Limits) -> Completed:
        """Run a line of bash to its end.

        Raises:
            ConnectionDropped, CommandTimedOut, OutputTooLarge: the shell cannot be used again.
        """
        mark = secrets.token_hex(16)
        return self._exchange(_frame(line, stdin, mark), mark, limits)

    def close(self) -> None:
        """End the remote shell. On a connection that is gone there is nothing to end."""
        self._selector.close()
        _close(self._channel)

    def _exchange(self, sent: bytes, mark: str, limits: Limits) -> Completed:
        deadline = time.monotonic() + limits.seconds
        out, err = _Stream(f"\n{mark} ".encode()), _Stream(f"\n{mark}\n".encode())
        try:
            self._send(sent, deadline)
            while not (out.ended and err.ended):
                self._receive(out, err, deadline, limits)
        except (OSError, EOFError, paramiko.SSHException) as fault:
            raise self._dropped(err, str(fault) or type(fault).__name__) from fault
        return _completed(out, err)

    def _dropped(self, err: _Stream, reason: str) -> ConnectionDropped:
        """The far side's last words, such as why an account may not log in, or else the reason."""
        while self._channel.recv_stderr_ready():
            err.take(self._channel.recv_stderr(_CHUNK))
        return ConnectionDropped(" ".join(err.data.decode("utf-8", "replace").split()) or reason)

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._channel.settimeout(max(0.0, deadline - time.monotonic()) or 0.001)
            try:
                sent = self._channel.send(bytes(view[:_CHUNK]))
            except TimeoutError:
                raise CommandTimedOut from None
            if sent == 0:
                raise EOFError("the far side closed it")
            view = view[sent:]

    def _receive(self, out: _Stream, err: _Stream, deadline: float, limits: Limits) -> None:
        channel = self._channel
        if not (channel.recv_ready() or channel.recv_stderr_ready()):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._selector.select(remaining):
                raise CommandTimedOut
            if not (channel.recv_ready() or channel.recv_stderr_ready()):
                raise self._dropped(err, "the far side closed it")
        if channel.recv_ready():
            out.take(channel.recv(_CHUNK))
        if channel.recv_stderr_ready():
            err.take(channel.recv_stderr(_CHUNK))
        if len(out.data) + len(err.data) > limits.output_bytes:
            raise OutputTooLarge


def _execute(channel: paramiko.Channel, line: str, seconds: float) -> None:
    """Have the far side run it, in time: paramiko itself waits until it answers or the channel is closed."""
    deadline = time.monotonic() + seconds
    patience = threading.Timer(seconds, _close, [channel])
    patience.daemon = True
    patience.start()
    try:
        channel.exec_command(line)  # nosec B601 # what starts a shell: our own words and quoted settings
    except paramiko.SSHException:
        if time.monotonic() >= deadline:
            raise CommandTimedOut from None
        raise
    finally:
        patience.cancel()


def _close(channel: paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()


def _frame(line: str, stdin: bytes, mark: str) -> bytes:
    """What the far side is sent for one command.

    Input goes to a file first. The line that reads it comes after it, so a command never begins
    with a part of its input: where the connection is cut, the line never comes. A subshell cut in
    the middle is a syntax error, which runs nothing.
    """
    source, upload = "/dev/null", b""
    if stdin:
        source = _INPUT_FILE
        upload = f"head -c {len(stdin)} >{_INPUT_FILE} || exit\n".encode() + stdin
    told = f"printf '\\n{mark} %d\\n' $?; printf '\\n{mark}\\n' >&2"
    return upload + f"( {line}\n) <{source}; {told}\n".encode()


def _completed(out: _Stream, err: _Stream) -> Completed:
    body, _, code = bytes(out.data).rpartition(out.mark)
    complaint, _, _ = bytes(err.data).rpartition(err.mark)
    return Completed(int(code), body, complaint)
