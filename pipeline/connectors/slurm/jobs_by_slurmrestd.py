"""Which jobs there are, by slurmrestd: remembered, and read again one by one where something is new."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.connectors.slurm.slurmrestd_as_service import SlurmrestdAsService
from pipeline.connectors.slurm.together import Answers, Together
from pipeline.errors import NotFound, Unavailable
from pipeline.job import JobStatus, Phase
from pipeline.settings import Settings
from pipeline.slurm.rest.records import JobRecord
from pipeline.slurm.rest.requests import GetJob, JobStates
from pipeline.slurm.states import phase
from pipeline.turns import OneForAll

_log = logging.getLogger(__name__)

_MANY = 5000
"""Single jobs that take more than a few seconds."""

_ONCE = 600.0
"""Seconds that a command has to read all jobs: it asks once, and no later poll goes on where it stopped."""

_HIDDEN_AGAIN = 20
"""Hidden jobs that a poll asks for again: the service's user may have been let see them."""

_GLANCE = 1.0
"""Seconds for that, at the most."""


class JobsBySlurmrestd:
    """``jobs/state``, and single jobs only where it has something new: never the list of all jobs."""

    def __init__(self, settings: Settings, slurmrestd: SlurmrestdAsService) -> None:
        self._slurmrestd = slurmrestd
        self._prefix = settings.job_name_prefix
        self._seconds = _ONCE if settings.are_for_native_jobs else settings.command_timeout
        self._records: dict[str, JobRecord | None] = {}
        """By id; None: a job that is not this portal's, or hidden."""
        self._hidden: dict[str, None] = {}
        """Ids of jobs that PrivateData hides now, the one that was asked for longest ago first."""
        self._together = Together("slurmrestd")
        self._listing = OneForAll()
        self._listed: list[JobStatus] = []
        self._listed_at = float("-inf")

    def now(self) -> list[JobStatus]:
        """This portal's jobs.

        However many ask, one list serves all that wait for it: it begins after each of them has asked.

        Raises:
            Unavailable: they are not all known; the next call goes on where this one stopped.
        """
        asked = time.monotonic()
        with self._listing.turn("slurmrestd: which jobs there are is not known yet", self._seconds):
            if self._listed_at <= asked:  # nobody has begun a list meanwhile
                begun = time.monotonic()
                self._listed = self._list()
                self._listed_at = begun
            return list(self._listed)

    def close(self) -> None:
        """End the threads."""
        self._together.close()

    def _list(self) -> list[JobStatus]:
        deadline = time.monotonic() + self._seconds
        states = self._slurmrestd.ask(JobStates())
        self._records = {job_id: job for job_id, job in self._records.items() if job_id in states}
        self._hidden = {job_id: None for job_id in self._hidden if job_id in states}
        news = [job_id for job_id, state in states.items() if self._is_news(job_id, state)]
        hidden = itertools.islice(self._hidden, _HIDDEN_AGAIN)
        again = [job_id for job_id in hidden if not self._is_news(job_id, states[job_id])]
        self._read(news, states, deadline - time.monotonic())
        self._look_again(again, states, min(_GLANCE, deadline - time.monotonic()))
        now = time.time()
        found = [job.status(self._prefix, now) for job in self._records.values() if job]
        return [job for job in found if job]

    def _is_news(self, job_id: str, state: str) -> bool:
        if job_id not in self._records:
            return True
        known = self._records[job_id]
        return known is not None and known.state != state

    def _read(self, job_ids: Sequence[str], states: Mapping[str, str], seconds: float) -> None:
        if len(job_ids) > _MANY:
            _log.warning("slurmrestd shows jobs one by one: reading %d takes a while", len(job_ids))
        answers = self._together.ask(self._record, job_ids, seconds)
        self._keep(answers, states)
        for fault in answers.faults.values():
            if not isinstance(fault, NotFound):
                raise fault
        if answers.late:
            raise Unavailable(f"slurmrestd: {len(answers.late)} of {len(job_ids)} new jobs are not read yet")

    def _look_again(self, job_ids: Sequence[str], states: Mapping[str, str], seconds: float) -> None:
        """Whether hidden jobs can be seen by now. Nobody waits for that: another poll asks again."""
        for job_id in job_ids:
            self._hidden[job_id] = self._hidden.pop(job_id)
        self._keep(self._together.ask(self._record, job_ids, seconds), states)

    def _record(self, job_id: str) -> JobRecord | None:
        return self._slurmrestd.ask(GetJob(job_id, self._prefix))

    def _keep(self, answers: Answers[str, JobRecord | None], states: Mapping[str, str]) -> None:
        for job_id, record in answers.found.items():
            self._hidden.pop(job_id, None)
            self._records[job_id] = record
        for job_id, fault in answers.faults.items():
            if isinstance(fault, NotFound):  # jobs/state shows ids of jobs that PrivateData hides
                self._hidden[job_id] = None
                known = self._records.get(job_id)
                if known and phase(states[job_id]) is not Phase.ENDED:
                    self._records[job_id] = replace(known, state=states[job_id])
                else:  # none of ours; or accounting has to tell its end
                    self._records[job_id] = None
