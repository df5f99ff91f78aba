"""What every command needs that talks to a cluster: settings that allow it, a connector, an orderly end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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

    While it is not known which one is meant, what that one would lack is not told.

    ``local_will_do``: who has no cluster can do this with the local connector, and is told so.
    """
    settings.warn_unencrypted(chosen)
    faults = [*reading.faults, *settings.service_faults(reading, _TRY_LOCAL if local_will_do else "")]
    try:
        chosen.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as fault:
        faults.append(f"JARVICE_DOWNSTREAM_STATE_DIR: cannot make {chosen.state_dir}: {fault.strerror}")
    if reading.is_way_unknown:
        return None, faults
    try:
        return connector_for(chosen), faults
    except SettingsFault as fault:
        return None, [*faults, *fault.faults]


def ending_on_signals(end: type[BaseException]) -> AbstractContextManager[None]:
    """SIGTERM and SIGHUP raise this in here, so that what was opened is closed, and jobs of our own ended.

    Only the first one does, as ``first_signal`` says.
    """

    def fall() -> NoReturn:
        raise end

    return first_signal(fall)


@contextmanager
def first_signal(react: Callable[[], None], *, interrupt_too: bool = False) -> Iterator[None]:
    """The first SIGTERM or SIGHUP has this done; with ``interrupt_too`` Ctrl-C has, too.

    A terminal that is closed sends several, and the end is on its way. The others are ignored until the
    process has gone, or one that comes late would take its exit code and last words; but for Ctrl-C, which
    comes from somebody who does not want to wait. Who has had a signal ignored, as nohup does, goes on.
    """
    ending = False

    def first(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        ending = True
        for one in before:
            signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_IGN)
        react()

    before = {
        one: handler
        for one in (signal.SIGTERM, signal.SIGHUP, *([signal.SIGINT] if interrupt_too else []))
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
