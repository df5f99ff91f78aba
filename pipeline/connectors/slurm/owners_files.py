"""As whom the files of a job are reached, and where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pipeline.connectors.slurm.cluster_host import login_of
from pipeline.connectors.slurm.homes import Homes
from pipeline.identity import Users
from pipeline.job import JobFiles
from pipeline.settings import Settings
from pipeline.transport.ssh import Login


class OwnersFiles(Protocol):
    """A way to the files of jobs."""

    def reach(self, user: str, name: str) -> tuple[Login, JobFiles]:
        """Who reads and removes the files of this user's job. Raises NotAllowed: nobody can."""
        ...

    def users(self) -> Iterable[str]:
        """The users whose folders may hold a job that was never seen."""
        ...


class AsTheOwner:
    """Each user's files as this user, in the user's own home folder: the mapping says who may be."""

    def __init__(self, settings: Settings, users: Users) -> None:
        self._settings = settings
        self._users = users

    def reach(self, user: str, name: str) -> tuple[Login, JobFiles]:
        """The mapped user's login. Raises NotAllowed when the user is not mapped."""
        return login_of(self._users.key_holder(user)), _files(self._settings, "", user, name)

    def users(self) -> Iterable[str]:
        """Every mapped user."""
        return self._users.users()


class AsTheEntryUser:
    """Every user's files as the entry user, where the site lets it: nobody else has a login."""

    def __init__(self, entry: Login, settings: Settings, homes: Homes) -> None:
        self._entry = entry
        self._settings = settings
        self._homes = homes

    def reach(self, user: str, name: str) -> tuple[Login, JobFiles]:
        """The entry user's login, and the job's files by their absolute paths."""
        home = "" if self._settings.job_scratch_dir else f"{self._homes.of(user)}/"
        return self._entry, _files(self._settings, home, user, name)

    def users(self) -> Iterable[str]:
        """Nobody: control folders are their owners' own."""
        return ()


def _files(settings: Settings, home: str, user: str, name: str) -> JobFiles:
    """A job's files, from this folder on where jobs are kept in the users' homes."""
    return JobFiles(settings.job_scratch_dir or home, name, user if settings.are_for_native_jobs else "")
