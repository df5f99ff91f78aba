"""What is known of an address before anybody connects to it."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path


def is_loopback(address: str) -> bool:
    """Whether only this machine is behind it, or can come to it."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def authority_faults(variable: str, file: Path | None) -> list[str]:
    """Why the authorities in a file can vouch for nobody, if they cannot."""
    if not file:
        return []
    if not file.is_file():
        return [f"{variable}: {file} is not a file"]
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        return [f"{variable}: {file} holds no certificate (PEM) that can be read"]
    except OSError as fault:
        return [f"{variable}: {file} cannot be read: {fault.strerror}"]
    return []
