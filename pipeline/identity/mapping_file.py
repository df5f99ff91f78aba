"""The file in which the site says which user of the cluster an upstream user is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline import redaction
from pipeline.errors import SettingsFault
from pipeline.identity.mapping import FILES_OUT_OF_REACH, UsersMapping, mapping_of
from pipeline.identity.owner import Owner
from pipeline.settings.kept_file import Content, WatchedFile
from pipeline.settings.yaml_file import parse_yaml

_log = logging.getLogger(__name__)


class MappingFile:
    """The mapping in a YAML file, which is read again when it changes. Safe for any number of threads.

    Where the changed file cannot be used, the last good mapping holds, and each fault is logged once.
    """

    def __init__(
        self,
        path: Path,
        *,
        keys_needed: bool = True,
        check: Callable[[Iterable[Owner]], None] = lambda owners: None,
    ) -> None:
        """``check`` raises SettingsFault for owners whose keys cannot be used.

        Raises:
            SettingsFault: with one sentence for each fault of the file.
        """
        self._file = WatchedFile(path)
        self._keys_needed = keys_needed
        self._check = check
        self._lock = threading.Lock()
        self._told: tuple[str, ...] = ()
        self._read: Content | None = None
        self._mapping = self._parsed(self._content())

    def owner_of(self, mail: str) -> Owner:
        """The cluster user that this mail is mapped to now. Raises NotAllowed."""
        return self.current().owner_of(mail)

    def key_holder(self, user: str, *, without: str = FILES_OUT_OF_REACH) -> Owner:
        """The owner of jobs that are this cluster user's, as of now. Raises NotAllowed."""
        return self.current().key_holder(user, without=without)

    def users(self) -> Iterable[str]:
        """Every name on the cluster that is mapped now."""
        return self.current().users()

    def current(self) -> UsersMapping:
        """What the file says now, or what it said when it could last be used."""
        with self._lock:
            try:
                content = self._content()
                if content is not self._read:
                    self._mapping, self._told = self._parsed(content), ()
                    _log.info("the users id mapping was read again: %d users", len(self._mapping))
            except SettingsFault as fault:
                if fault.faults != self._told:
                    self._told = fault.faults
                    for told in fault.faults:
                        _log.error("%s; what it said before still holds", told)
            return self._mapping

    def _content(self) -> Content:
        try:
            return self._file.read()
        except OSError as fault:
            self._read = None
            raise self._unusable(f"cannot be read: {fault.strerror}") from None

    def _parsed(self, content: Content) -> UsersMapping:
        self._read = content
        try:
            document = parse_yaml(content.unchanged_by_others())
            mapping = mapping_of(
                document, f"users id mapping {self._file.path}", keys_needed=self._keys_needed
            )
            keys = [owner.private_key for owner in mapping.owners() if owner.private_key]
            if keys:
                content.for_us_alone()
        except ValueError as fault:
            raise self._unusable(str(fault)) from None
        try:
            self._check(mapping.owners())
        except SettingsFault as fault:
            raise self._unusable(*fault.faults) from None
        redaction.know("users id mapping", keys)
        return mapping

    def _unusable(self, *whys: str) -> SettingsFault:
        place = f"JARVICE_USERS_ID_MAPPING: {self._file.path.absolute()}"
        return SettingsFault([f"{place}: {why}" for why in whys])
