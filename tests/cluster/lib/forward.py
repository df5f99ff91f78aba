"""Forwards TCP ports of the host's 127.0.0.1 into a network namespace.

forward.py PID_FILE NAMESPACE_FILE PORT=ADDRESS:PORT...
"""

import asyncio
import contextlib
import ctypes
import functools
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000

# Nothing else of asyncio keeps a task whose client sends no more; its other side would stay open for ever.
kept: set["asyncio.Task[None]"] = set()


def listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the peer sees a reset connection, as it does when a daemon is not there."""
    with contextlib.suppress(OSError):  # it was reset from its other end, and is closed already
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def forward(
    address: str, port: int, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
) -> None:
    try:
        server_reader, server_writer = await asyncio.open_connection(address, port)
    except OSError:
        reset(client_writer)
        return
    pumps = [
        asyncio.ensure_future(pump(client_reader, server_writer)),
        asyncio.ensure_future(pump(server_reader, client_writer)),
    ]
    kept.update(pumps)
    try:
        for writer in (client_writer, server_writer):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(*pumps)
    except OSError:  # one side was reset: so is the other
        for task in pumps:
            task.cancel()
        reset(client_writer)
        reset(server_writer)
    finally:
        kept.difference_update(pumps)
    for writer in (client_writer, server_writer):
        with contextlib.suppress(OSError):
            writer.close()


async def main(listeners: list[tuple[socket.socket, str, int]]) -> None:
    servers = []
    for listener, address, port in listeners:
        handler = functools.partial(forward, address, port)
        servers.append(await asyncio.start_server(handler, sock=listener))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    pid_file, namespace, *rules = sys.argv[1:]
    targets = []
    for rule in rules:
        host_port, target = rule.split("=")
        target_address, target_port = target.split(":")
        targets.append((listen(int(host_port)), target_address, int(target_port)))
    # Sockets made from here on belong to the other namespace; the listeners stay where they are.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(os.open(namespace, os.O_RDONLY), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    with open(pid_file, "w") as file:
        file.write(f"{os.getpid()}\n")
    asyncio.run(main(targets))
