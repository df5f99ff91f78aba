"""Who logs in, and with what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import paramiko

from pipeline.errors import SettingsFault, Unavailable
from pipeline.transport.ssh.certificates import Authority
from pipeline.transport.ssh.keys import private_key


@dataclass(frozen=True)
class Login:
    """A user of the far side, and the private key, as text, that logs in; without one, a certificate does."""

    user: str
    private_key: str = field(default="", repr=False)
    forwards: bool = False
    """Whether connections to other ports will be opened, which a certificate has to allow."""

    def key(self, authority: Authority | None) -> paramiko.PKey:
        """What the user is let in with; a certificate is made anew each time.

        Raises:
            Unavailable: the key cannot be used, or there is none and nobody vouches for the user.
        """
        if self.private_key:
            return private_key(self.private_key, of=self.user)
        if not authority:
            raise Unavailable(f"there is no private key for {self.user}")
        try:
            return authority.key_for(self.user, forwards=self.forwards)
        except ValueError as fault:
            raise Unavailable(f"{self.user} cannot log in: {fault}") from None


def check_keys(logins: Iterable[Login]) -> None:
    """Raises SettingsFault with one sentence for each private key that cannot be used."""
    faults = []
    for login in logins:
        try:
            private_key(login.private_key, of=login.user)
        except Unavailable as fault:
            faults.append(fault.message)
    if faults:
        raise SettingsFault(faults)
