"""The ``cli`` interface: sbatch, as the mapped user over SSH."""

from __future__ import annotations

from contextlib import suppress

from pipeline.connectors.slurm.cluster_host import ClusterHost, login_of
from pipeline.errors import DownstreamError, Refused
from pipeline.identity import Bearer, Owner, Users, mail_of
from pipeline.job import Sent
from pipeline.render import BatchScript
from pipeline.slurm.submission import Claim, Settle, Submit, Unsettled, Withdraw


class SubmissionBySbatch:
    """Implements ``Submission``."""

    def __init__(self, host: ClusterHost, users: Users, mail_claim: str) -> None:
        self._host = host
        self._users = users
        self._mail_claim = mail_claim

    def owner_of(self, bearer: Bearer) -> Owner:
        """The user that the token's mail is mapped to."""
        return self._users.owner_of(mail_of(bearer, self._mail_claim))

    def owner_named(self, user: str, token: str) -> Owner:
        """The mapped user of this name."""
        return self._users.key_holder(user, without="no job can be submitted as this user")

    def submit(self, batch: BatchScript, owner: Owner) -> Sent:
        """``sbatch``, as the owner; see ``slurm.submission`` for why it happens once."""
        login, claim = login_of(owner), Claim(batch.files.control, batch.digest)
        try:
            secrets, text = batch.secrets_file.encode("utf-8"), batch.text.encode("utf-8")
            return self._host.ask(Submit(claim, len(secrets)), login=login, stdin=secrets + text)
        except Unsettled:
            # Nearly always the job of an earlier submission, whose answer was lost.
            return self._host.ask(Settle(claim, batch.slurm_name), login=login)
        except Refused:
            # A claim that stays is settled later; what Slurm has said would never be heard again.
            with suppress(DownstreamError):
                self._host.ask(Withdraw(claim), login=login)
            raise

    def check(self) -> None:
        """Has the mapping read if it was edited, so that faults are in the log before a job comes."""
        self._users.users()

    def close(self) -> None:
        """The host is closed by the management."""
