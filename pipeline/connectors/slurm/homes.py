"""Users' home folders, for who runs jobs of users that it cannot log in as."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from pipeline.connectors.slurm.cluster_host import ClusterHost
from pipeline.slurm.folders import HomeFolder

_KEPT = 3600.0
"""Seconds that an answer of the cluster is believed."""


class Homes(Protocol):
    """Where users are at home on the cluster."""

    def of(self, user: str) -> str:
        """The user's home folder, without a slash at its end. Raises NotAllowed: there is no such user."""
        ...


class HomesByPattern:
    """The site says where all of them are."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def of(self, user: str) -> str:
        """The pattern with the user's name in it."""
        return self._pattern.replace("%u", user)


class HomesByHost:
    """The cluster's SSH entry point is asked, once an hour for each user."""

    def __init__(self, host: ClusterHost) -> None:
        self._host = host
        self._known: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def of(self, user: str) -> str:
        """What the passwd database says. Raises NotAllowed or Unavailable."""
        with self._lock:
            when, home = self._known.get(user, (float("-inf"), ""))
        if time.monotonic() - when < _KEPT:
            return home
        home = self._host.ask(HomeFolder(user))
        with self._lock:
            self._known[user] = (time.monotonic(), home)
        return home
