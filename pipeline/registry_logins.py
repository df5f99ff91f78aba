"""The site's file of registry logins, which native jobs name instead of holding a password."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import InvalidJob, SettingsFault
from pipeline.intake.checking import check
from pipeline.intake.images import one_name
from pipeline.job import Credentials
from pipeline.settings.kept_file import read_file
from pipeline.settings.yaml_file import parse_yaml

_VARIABLE = "JARVICE_DOWNSTREAM_REGISTRY_LOGINS"


class RegistryLogins:
    """The logins of a file, which is read anew each time: an edited one works at once."""

    def __init__(self, path: Path | None) -> None:
        """None: there is no such file."""
        self._path = path

    def __call__(self, name: str, registry: str) -> Credentials:
        """The login of that name, for an image of that registry; it is told no other.

        Raises:
            InvalidJob: there is no login of that name, or it is another registry's.
            SettingsFault: the file cannot be used, or others can read it.
        """
        if self._path is None:
            raise InvalidJob("credentials", value=name, expected=f"known: {_VARIABLE} names no file")
        logins = _logins(self._path)
        if name not in logins:
            raise InvalidJob("credentials", value=name, expected=f"a login of {self._path}")
        login = logins[name]
        theirs = one_name(login["registry"])
        if theirs != registry:
            raise InvalidJob(
                "credentials", value=name, expected=f"a login for {registry}: it is one for {theirs}"
            )
        return Credentials(login["username"], login["password"])


def _logins(path: Path) -> dict[str, dict[str, str]]:
    try:
        document = parse_yaml(read_file(path).for_us_alone())
    except OSError as fault:
        raise SettingsFault([f"{_VARIABLE}: {path.absolute()}: cannot be read: {fault.strerror}"]) from None
    except ValueError as fault:
        raise SettingsFault([f"{_VARIABLE}: {path.absolute()}: {fault}"]) from None
    try:
        check("registry_logins", document, "the file")
    except InvalidJob as fault:
        raise SettingsFault([f"{_VARIABLE}: {path.absolute()}: {fault}"]) from None
    logins: dict[str, dict[str, str]] = document["registry_logins"]
    return logins
