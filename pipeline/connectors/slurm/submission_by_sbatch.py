"""The ``cli`` interface: sbatch, as the mapped user over SSH."""

from __future__ import annotations

from pipeline.connectors.slurm.cluster_host import ClusterHost, login_of
from pipeline.errors import Refused
from pipeline.identity import Owner, UsersMapping
from pipeline.job import Sent
from pipeline.render import BatchScript
from pipeline.slurm.submission import Settle, Submit, Unsettled, Withdraw


class SubmissionBySbatch:
    """Implements ``Submission``."""

    def __init__(self, host: ClusterHost, users: UsersMapping) -> None:
        self._host = host
        self._users = users

    def owner_of(self, bearer: str) -> Owner:
        """The mapped user."""
        return self._users.owner_of(bearer)

    def owner_named(self, user: str, token: str) -> Owner:
        """The mapped user of this name."""
        return self._users.key_holder(user, without="no job can be submitted as this user")

    def submit(self, batch: BatchScript, owner: Owner) -> Sent:
        """``sbatch``, as the owner; see ``slurm.submission`` for why it happens once."""
        login, control = login_of(owner), batch.files.control
        try:
            secrets, text = batch.secrets_file.encode("utf-8"), batch.text.encode("utf-8")
            return self._host.ask(Submit(control, len(secrets)), login=login, stdin=secrets + text)
        except Unsettled:
            # Nearly always the job of an earlier submission, whose answer was lost.
            return Sent(self._host.ask(Settle(control, batch.slurm_name), login=login), is_new=False)
        except Refused:
            self._host.ask(Withdraw(control), login=login)
            raise

    def check(self) -> None:
        """Nothing but what the management checks."""

    def close(self) -> None:
        """The host is closed by the management."""
