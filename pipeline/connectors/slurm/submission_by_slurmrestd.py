"""The ``http`` interface: slurmrestd, with the user's own bearer token."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.connectors.slurm.homes import Homes
from pipeline.connectors.slurm.sent_names import Known, SentNames
from pipeline.connectors.slurm.slurmrestd import Slurmrestd
from pipeline.errors import (
    BearerRefused,
    DownstreamError,
    InDoubt,
    NameTaken,
    NotAllowed,
    NotAuthenticated,
    Unavailable,
)
from pipeline.identity import NEVER, TOKEN_VARIABLE, Bearer, Owner, expired_since, owner_by_token, unverified
from pipeline.job import JobStatus, Sent
from pipeline.render import BatchScript, PayloadRenderer
from pipeline.slurm.rest.refusals import NoSuchPath, ZeroBytes
from pipeline.slurm.rest.requests import GetJob, SubmitJob
from pipeline.slurm.states import was_refused
from pipeline.slurm.submission import Unsettled
from pipeline.transport.http import AnswerLost

_log = logging.getLogger(__name__)


class SubmissionBySlurmrestd:
    """Implements ``Submission``."""

    def __init__(
        self,
        api: Slurmrestd,
        payloads: PayloadRenderer,
        homes: Homes,
        *,
        user_claims: Sequence[str],
        jobs_of: Callable[[str, str], list[JobStatus]],
        ended: Callable[[str], list[JobStatus]],
        end: Callable[[str], None],
    ) -> None:
        """For names that were sent before.

        ``jobs_of`` gives the jobs of an owner and a name that slurmctld knows, ``ended`` those of a name
        that it has forgotten; ``end`` ends a job by its id.
        """
        self._api = api
        self._payloads = payloads
        self._homes = homes
        self._user_claims = user_claims
        self._names = SentNames(jobs_of, api.check)
        self._ended = ended
        self._end = end

    def owner_of(self, bearer: Bearer) -> Owner:
        """The user that the token names; slurmrestd decides whether to believe it."""
        owner = owner_by_token(bearer, self._user_claims)
        if owner.user == NEVER:
            raise NotAllowed(
                f"bearer: the token names {NEVER}, and nobody's jobs run as {NEVER}; see at the identity "
                f"provider who can choose what {' or '.join(self._user_claims)} is"
            )
        return owner

    def owner_named(self, user: str, token: str) -> Owner:
        """This user, if the token names the same one; slurmrestd decides whether to believe it."""
        if not token:
            raise NotAuthenticated(
                f"{TOKEN_VARIABLE} is not set: through slurmrestd a job is sent with its user's own token; "
                "`export $(scontrol token)` on the cluster makes one"
            )
        bearer = unverified(token, TOKEN_VARIABLE)
        owner = owner_by_token(bearer, self._user_claims, called=TOKEN_VARIABLE)
        if owner.user != user:
            raise NotAllowed(f"{TOKEN_VARIABLE} is a token of {owner.user}, and the job's user is {user}")
        return owner

    def submit(self, batch: BatchScript, owner: Owner) -> Sent:
        """``POST job/submit`` with the owner's token; see ``SentNames`` for why it happens once."""
        is_there = partial(self._is_there, batch, owner)
        with self._names.turn(owner.user, batch.name, is_there) as earlier:
            first = earlier or self._ended_before(owner.user, batch.name)
            sent = None
            if not first:
                sent = Known(self._send(batch, owner), batch.digest)
                first = self._names.sent(owner.user, batch.name, sent, is_there)
        self._end_surplus()
        return Sent(first.job_id) if first is sent else _same(first, batch)

    def check(self) -> None:
        """Whether slurmrestd answers, in the version that is spoken."""
        self._api.check()

    def close(self) -> None:
        """Close the connections to slurmrestd."""
        self._api.close()

    def _end_surplus(self) -> None:
        """End the jobs of names that another downstream has sent too, before."""
        for job_id in self._names.surplus():
            _log.warning("job %s is ended: another of its name was sent before", job_id)
            try:
                self._end(job_id)
            except DownstreamError as fault:
                # Its batch script sees the other job, and ends.
                _log.warning("job %s could not be ended: %s", job_id, fault)

    def _ended_before(self, user: str, name: str) -> Known | None:
        """The user's job of this name that has ended; of several the first one, which was let run."""
        ended = (job for job in self._ended(name) if not was_refused(job.state, job.nodes))
        return next((Known(job.job_id, job.digest) for job in ended if job.owner == user), None)

    def _is_there(self, batch: BatchScript, owner: Owner, job_id: str) -> bool:
        """Whether this id is still the job's: a killed slurmctld may give it to another.

        Another digest says that it is not. Without one it takes another name and another owner: Slurm may
        spell the owner otherwise than the token, and a site may give its jobs other names and comments.

        Raises:
            NotFound: there is no such job.
            Unavailable: it cannot be told.
        """
        try:
            job = self._api.ask(GetJob(job_id), owner)
        except NoSuchPath:
            raise Unavailable("slurmrestd has changed its versions") from None
        if job and job.digest and batch.digest:
            return job.digest == batch.digest
        if job and job.slurm_name == batch.slurm_name:
            return True
        if job and job.user != owner.user:
            return False
        raise Unavailable(f"job {job_id} of {owner.user} has another name, and no digest in its comment")

    def _send(self, batch: BatchScript, owner: Owner) -> str:
        try:
            return self._post(batch, owner, self._api.version())
        except NoSuchPath:  # nothing was accepted: slurmrestd has another version since
            pass
        try:
            return self._post(batch, owner, self._api.version())
        except NoSuchPath:
            raise Unavailable("slurmrestd does not serve the version of its API that it said") from None

    def _post(self, batch: BatchScript, owner: Owner, version: str) -> str:
        home = self._homes.of(owner.user)
        payload = self._payloads.payload(batch, version, user=owner.user, home=home)
        try:
            return self._api.ask(SubmitJob(payload.body()), owner, version)
        except (AnswerLost, Unsettled) as unknown:
            self._names.cut_off(owner.user, batch.name)
            raise InDoubt(f"{unknown}; whether the job was accepted is not known yet") from None
        except NotAuthenticated as fault:
            expiry = _expiry(owner.token)
            if isinstance(fault, ZeroBytes) and not expiry:
                self._names.cut_off(owner.user, batch.name)
            raise BearerRefused(fault.message + expiry) from None
        except (DownstreamError, NoSuchPath):  # nothing was accepted
            raise
        except BaseException:
            self._names.cut_off(owner.user, batch.name)
            raise


def _same(earlier: Known, batch: BatchScript) -> Sent:
    """The job that has the name. Raises NameTaken when it is another one."""
    if earlier.digest and batch.digest and earlier.digest != batch.digest:
        raise NameTaken.by_other_content(earlier.job_id)
    return Sent(earlier.job_id, is_new=False)


def _expiry(token: str) -> str:
    since = expired_since(token)
    if since is None:
        return ""
    return time.strftime("; the bearer token has expired at %Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
