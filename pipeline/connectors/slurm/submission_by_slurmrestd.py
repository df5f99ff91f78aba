"""The ``http`` interface: slurmrestd, with the user's own bearer token."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pipeline.connectors.slurm.homes import Homes
from pipeline.connectors.slurm.sent_names import SentNames
from pipeline.connectors.slurm.slurmrestd import Slurmrestd
from pipeline.errors import DownstreamError, InDoubt, NotAllowed, NotAuthenticated, Unavailable
from pipeline.identity import TOKEN_VARIABLE, Owner, expired_since, owner_by_token
from pipeline.job import JobStatus, Sent
from pipeline.render import BatchScript, PayloadRenderer
from pipeline.slurm.rest.refusals import NoSuchPath, ZeroBytes
from pipeline.slurm.rest.requests import SubmitJob
from pipeline.slurm.states import was_refused
from pipeline.slurm.submission import Unsettled
from pipeline.transport.http import AnswerLost


class SubmissionBySlurmrestd:
    """Implements ``Submission``."""

    def __init__(
        self,
        api: Slurmrestd,
        payloads: PayloadRenderer,
        homes: Homes,
        *,
        user_claims: Sequence[str],
        jobs: Callable[[], list[JobStatus]],
        ended: Callable[[str], list[JobStatus]],
    ) -> None:
        """For names that were sent before.

        ``jobs`` gives every job that slurmctld knows, ``ended`` those of a name that it has forgotten.
        """
        self._api = api
        self._payloads = payloads
        self._homes = homes
        self._user_claims = user_claims
        self._names = SentNames(jobs, api.check)
        self._ended = ended

    def owner_of(self, bearer: str) -> Owner:
        """The user that the token names; slurmrestd decides whether to believe it."""
        return owner_by_token(bearer, self._user_claims)

    def owner_named(self, user: str, token: str) -> Owner:
        """This user, if the token names the same one; slurmrestd decides whether to believe it."""
        if not token:
            raise NotAuthenticated(
                f"{TOKEN_VARIABLE} is not set: through slurmrestd a job is sent with its user's own token; "
                "`export $(scontrol token)` on the cluster makes one"
            )
        owner = owner_by_token(token, self._user_claims, called=TOKEN_VARIABLE)
        if owner.user != user:
            raise NotAllowed(f"{TOKEN_VARIABLE} is a token of {owner.user}, and the job's user is {user}")
        return owner

    def submit(self, batch: BatchScript, owner: Owner) -> Sent:
        """``POST job/submit`` with the owner's token; see ``SentNames`` for why it happens once."""
        with self._names.turn(owner.user, batch.name) as earlier:
            earlier = earlier or self._ended_before(owner.user, batch.name)
            if earlier:
                return Sent(earlier, is_new=False)
            job_id = self._send(batch, owner)
            self._names.sent(owner.user, batch.name, job_id)
            return Sent(job_id)

    def check(self) -> None:
        """Whether slurmrestd answers, in the version that is spoken."""
        self._api.check()

    def close(self) -> None:
        """Close the connections to slurmrestd."""
        self._api.close()

    def _ended_before(self, user: str, name: str) -> str | None:
        """The user's job of this name that has ended; of several the first one, which was let run."""
        ended = (job for job in self._ended(name) if not was_refused(job.state, job.nodes))
        return next((job.job_id for job in ended if job.owner == user), None)

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
            raise NotAuthenticated(fault.message + expiry) from None
        except (DownstreamError, NoSuchPath):  # nothing was accepted
            raise
        except BaseException:
            self._names.cut_off(owner.user, batch.name)
            raise


def _expiry(token: str) -> str:
    since = expired_since(token)
    if since is None:
        return ""
    return time.strftime("; the bearer token has expired at %Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
