"""Everything that can go wrong, as a person has to know it.

The doors decide how an error is shown; the tree decides what it means::

    DownstreamError
    |-- CallerError                    the caller has to change something
    |   |-- InvalidRequest      400    the request is not of the contract's form
    |   |-- InvalidJob          400    a field of the job is wrong; names the field
    |   |   `-- MissingField           it is not there
    |   |-- NotAuthenticated    401    no credentials, or wrong ones
    |   |   `-- BearerRefused          the bearer token of a job is not accepted
    |   |-- NotAllowed          403    known, but not mapped or not permitted
    |   |-- NotFound            404    no such job, output, method
    |   |   `-- OutOfReach             there may be, but this downstream cannot get at it
    |   |-- JobNotOver          409    the question can only be answered when the job is over
    |   |-- NameTaken           409    the name is that of another job
    |   `-- TooManyRequests     429    one client asks more than its share, or guesses logins
    |-- Refused                 400    Slurm said no, in its own words
    |   |-- AccountRefused      403    the user, account or association
    |   |-- QosRefused                 the quality of service or one of its limits
    |   `-- PartitionRefused           the partition or one of its limits
    |-- Nonsense                502    the cluster answered what cannot be read
    |-- Unavailable             503    cannot be reached or known now; worth trying again
    |   |-- InDoubt                    a job was sent, and whether it arrived is not known yet
    |   `-- Unreachable                the far side does not answer, whoever asks
    |-- TemplateFault           500    a template cannot be rendered; names the file and line
    `-- SettingsFault                  the service cannot start; lists every fault
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

_SHOWN = 80
"""Characters of a caller's value that an error repeats."""


class DownstreamError(Exception):
    """What happened, as one sentence; ``job`` is the job's name where one is concerned."""

    status: ClassVar[int] = 500
    worth_trying_again: ClassVar[bool] = False
    retry_after: float | None = None
    """Seconds until a circuit lets somebody ask again; it has logged why. None: no circuit is open."""

    def __init__(self, message: str, *, job: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.job = job

    def again(self) -> Self:
        """The same error to be raised anew, without the way it came: one that is kept is shared."""
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__)
        return other

    def about(self, job: str) -> Self:
        """The same error, said of this job."""
        other = self.again()
        other.job = self.job or job
        return other


class CallerError(DownstreamError):
    """The caller has to change something before it asks again."""

    status = 400


class InvalidRequest(CallerError):
    """The request is not of the contract's form."""


class InvalidJob(CallerError):
    """A field of the job is wrong: ``InvalidJob("JOBOBJ_WALLTIME", value="1h", expected="HH:MM:SS")``.

    Leave ``value`` out where it may be a secret.
    """

    def __init__(self, field: str, *, expected: str, value: object = None, job: str | None = None) -> None:
        super().__init__(f"{field}: {_shown(value)}is not {expected}", job=job)
        self.field = field


class MissingField(InvalidJob):
    """A field of the job has to be there and is not."""

    def __init__(self, field: str, *, job: str | None = None) -> None:
        CallerError.__init__(self, f"{field} is missing", job=job)
        self.field = field


class NotAuthenticated(CallerError):
    """No credentials, or wrong ones."""

    status = 401
    challenge: ClassVar[str] = 'Basic realm="downstream"'
    """What HTTP says is needed."""


class BearerRefused(NotAuthenticated):
    """The bearer token of a job is not accepted; says what of it does not hold, and never the token."""

    challenge = 'Bearer realm="downstream", error="invalid_token"'


class NotAllowed(CallerError):
    """Known, but not mapped to a cluster user, or not permitted."""

    status = 403


class NotFound(CallerError):
    """There is no such job, output or method."""

    status = 404


class OutOfReach(NotFound):
    """A job's files may be there; this downstream, as it is set up, cannot get at them."""


class JobNotOver(CallerError):
    """The question can only be answered when the job is over."""

    status = 409


class NameTaken(CallerError):
    """The name is that of another job: another user's, or one with other content."""

    status = 409

    @classmethod
    def by_other_content(cls, job_id: str) -> Self:
        """The name was sent before, with something else to run."""
        return cls(
            f"the name is taken: job {job_id} was submitted under it before, with other content; "
            "submit this one under a new name"
        )


class TooManyRequests(CallerError):
    """One client asks more than its share, or guesses logins."""

    status = 429
    worth_trying_again = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(DownstreamError):
    """Slurm said no, and asking again will not help; the message is in its own words."""

    status = 400


class AccountRefused(Refused):
    """The user, its account or their association is refused."""

    status = 403


class QosRefused(Refused):
    """The quality of service, or one of its limits."""


class PartitionRefused(Refused):
    """The partition, or one of its limits."""


class Nonsense(DownstreamError):
    """The cluster answered something that cannot be read."""

    status = 502


class Unavailable(DownstreamError):
    """The cluster cannot be reached, or the truth cannot be known, right now."""

    status = 503
    worth_trying_again = True


class InDoubt(Unavailable):
    """A job was sent, and whether it was accepted is not known yet; who has sent it can find out."""


class Unreachable(Unavailable):
    """The far side does not answer: it would not answer anybody else either. Circuits count these."""

    is_counted: bool = False
    """Whether a circuit has counted it; others leave it alone."""


class TemplateFault(DownstreamError):
    """A template cannot be rendered; names the file, the line and what it asked for."""


class SettingsFault(DownstreamError):
    """The settings do not allow a start. ``faults`` holds one sentence for each thing to change."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def _shown(value: object) -> str:
    if value is None:
        return ""
    text = repr(value)
    return (text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...") + " "
