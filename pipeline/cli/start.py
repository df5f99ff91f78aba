"""What every command needs that talks to a cluster: settings that allow it, a connector, an orderly end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from pipeline import settings
from pipeline.connectors import Connector, connector_for
from pipeline.errors import SettingsFault
from pipeline.settings import Reading, Settings

_TRY_LOCAL = "To try the downstream without a cluster set JARVICE_BAREMETAL_CONNECTOR=local"


def connect(
    reading: Reading, chosen: Settings, *, local_will_do: bool = True
) -> tuple[Connector | None, list[str]]:
    """The connector of these settings, and all that stops a start; without faults there is a connector.

    ``local_will_do``: who has no cluster can do this with the local connector, and is told so.
    """
    settings.warn_unencrypted(chosen)
    faults = [*reading.faults, *settings.service_faults(reading, _TRY_LOCAL if local_will_do else "")]
    try:
        chosen.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        faults.append(f"JARVICE_DOWNSTREAM_STATE_DIR: cannot make {chosen.state_dir}: {fault.strerror}")
    try:
        return connector_for(chosen), faults
    except SettingsFault as fault:
        return None, [*faults, *fault.faults]


@contextmanager
def ending_on_signals(end: type[BaseException]) -> Iterator[None]:
    """SIGTERM and SIGHUP raise this in here, so that what was opened is closed, and jobs of our own ended.

    Only the first one does: a terminal that is closed sends several, and the end is on its way. The others
    are ignored until the process has gone, or one that comes late would take its exit code and last words.
    Who has had a signal ignored, as nohup does, goes on.
    """
    ending = False

    def first(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal ending
        ending = True
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise end

    before = {
        one: handler
        for one in (signal.SIGTERM, signal.SIGHUP)
        if (handler := signal.getsignal(one)) is not signal.SIG_IGN
    }
    for one in before:
        signal.signal(one, first)
    try:
        yield
    finally:
        if not ending:
            for one, handler in before.items():
                signal.signal(one, handler)
