"""How an error is shown to a person, and to a script by its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click

from pipeline.cli.exit_codes import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TRY_AGAIN,
    EXIT_UNREAD,
    EXIT_WRONG_INPUT,
)
from pipeline.cli.output import discard
from pipeline.errors import CallerError, DownstreamError, SettingsFault
from pipeline.redaction import forget_here, redact

_P = ParamSpec("_P")


def friendly(function: Callable[_P, None]) -> Callable[_P, None]:
    """Errors, and Ctrl-C, become one message and an exit code."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except DownstreamError as fault:
            tell(fault)
            sys.exit(exit_code_of(fault))
        except BrokenPipeError:  # nobody reads any more, as after `| head`
            discard(sys.stdout, sys.stderr)
            sys.exit(EXIT_UNREAD)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(EXIT_INTERRUPTED)
        finally:
            forget_here()

    return wrapped


def tell(fault: DownstreamError, about: object = "") -> None:
    """Say what went wrong, and with what, on standard error."""
    if isinstance(fault, SettingsFault):
        prefix = f"error: {about}: " if about else "error: "
        click.echo(f"{prefix}these settings cannot be used:", err=True)
        for sentence in fault.faults:
            click.echo(redact(f"  - {sentence}"), err=True)
        return
    click.echo(redact(f"error: {about}: {fault}" if about else f"error: {fault}"), err=True)


def exit_code_of(fault: DownstreamError) -> int:
    """What a command ends with after this."""
    if isinstance(fault, CallerError | SettingsFault):
        return EXIT_WRONG_INPUT
    return EXIT_TRY_AGAIN if fault.worth_trying_again else EXIT_FAILED
