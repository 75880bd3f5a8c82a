"""The store threads: each carries out one call at a time, in order of urgency, until answered.

An agent has two: "claims" serves idle workers, and "store" does all the writing. With a checkpoint
store outside the database, "uploads" fills it.
"""

import logging
import queue
import random
from pathlib import Path
from typing import assert_never

from tuner.agent.acts import (
    AskChanges,
    AskCheckpoint,
    AskClaim,
    AskElsewhere,
    AskEnd,
    AskNoteCode,
    AskUpload,
    AskWrite,
    StoreJob,
)
from tuner.agent.events import (
    BatchWritten,
    Changed,
    CheckpointLoaded,
    ClaimAnswered,
    ElsewhereHeard,
    EndsWritten,
    Event,
    StoreBack,
    Uploaded,
    away,
    report_failures,
)
from tuner.agent.port import Complete, Store
from tuner.agent.threads.suggester import SuggestionSource
from tuner.errors import DatabaseAway, StoreFails
from tuner.helper_thread import JobThread
from tuner.study.checkpoint import FOLDER_MARK
from tuner.study.feed import Seen

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0


class StoreThread(JobThread[StoreJob]):
    """Carries out the agent's store jobs and puts the answers into its inbox.

    Every job is idempotent: one whose answer was lost with the connection is simply repeated.
    """

    def __init__(
        self,
        store: Store,
        source: SuggestionSource,
        complete: Complete,
        inbox: "queue.SimpleQueue[Event]",
        spool: Path,
        *,
        name: str = "store",
    ) -> None:
        super().__init__(name, report_failures(inbox))
        self._store = store
        self._source = source
        self._complete = complete
        self._inbox = inbox
        self._spool = spool
        self._seen = Seen()
        self._is_look_posted = False

    def post(self, job: StoreJob, urgency: int | None = None) -> None:
        """Queue a job; without an urgency, by the kind of job."""
        super().post(job, _urgency(job) if urgency is None else urgency)

    def perform(self, job: StoreJob) -> None:
        """Do a job and pass the answers to the agent."""
        for answer in self._persist(job):
            self._inbox.put(answer)

    def _persist(self, job: StoreJob) -> list[Event]:
        """Do a job, repeatedly while the database is unreachable."""
        pause_seconds = FIRST_PAUSE_SECONDS
        is_away = False
        while not self.is_stopped:
            try:
                answers = self._perform(job)
            except DatabaseAway as error:
                is_away = True
                self._inbox.put(away(error, self.name))
                # Jitter: a fleet must not come back in step.
                self.pause(pause_seconds * random.uniform(0.5, 1.5))
                pause_seconds = min(2 * pause_seconds, MAX_PAUSE_SECONDS)
            else:
                return [StoreBack(helper=self.name), *answers] if is_away else answers
        return []

    def _perform(self, job: StoreJob) -> list[Event]:
        match job:
            case AskClaim():
                return self._claim(job)
            case AskWrite():
                lost = self._store.report(job.batch)
                self._look_soon()
                return [BatchWritten(batch=job.batch, lost=lost)]
            case AskEnd():
                lost = self._store.end(job.ends)
                self._look_soon()
                return [EndsWritten(ends=job.ends, lost=lost)]
            case AskNoteCode():
                self._store.note_code(job.key, job.code)
                return []
            case AskChanges():
                return [self._look()]
            case AskCheckpoint():
                return [self._load_checkpoint(job)]
            case AskUpload():
                return [self._upload(job)]
            case AskElsewhere():
                return [ElsewhereHeard(numbers=self._store.fared_better(job.faults))]
            case _:
                assert_never(job)

    def _claim(self, job: AskClaim) -> list[Event]:
        self._source.wait(job.n_new)
        claimed = self._store.claim(
            job.known, job.limit, job.silent, self._source.suggest, self._complete
        )
        return [ClaimAnswered(claimed=claimed)]

    def _look_soon(self) -> None:
        """Read changes in a job of its own: a repeated read must not repeat the previous job."""
        if not self._is_look_posted:
            self._is_look_posted = True
            self.post(AskChanges())

    def _look(self) -> Changed:
        self._is_look_posted = False
        changes = self._store.changes(self._seen)
        self._seen = changes.seen
        return Changed(changes=changes)

    def _load_checkpoint(self, job: AskCheckpoint) -> CheckpointLoaded:
        try:
            found = self._store.load_checkpoint(job.key.number, self._spool)
        except OSError as error:
            log.error(
                "trial %d starts from the beginning: no room in the spool: %s",
                job.key.number,
                error,
            )
            found = None
        except StoreFails as error:
            return CheckpointLoaded(key=job.key, path=None, step=0, error=error)
        if found is None:
            return CheckpointLoaded(key=job.key, path=None, step=0)
        checkpoint, path = found
        with open(path, "rb") as file:
            is_folder = file.read(len(FOLDER_MARK)) == FOLDER_MARK
        return CheckpointLoaded(key=job.key, path=path, step=checkpoint.step, is_folder=is_folder)

    def _upload(self, job: AskUpload) -> Uploaded:
        try:
            is_stored = self._store.upload(job.saved)
        except StoreFails as error:
            return Uploaded(saved=job.saved, is_stored=False, error=str(error))
        return Uploaded(saved=job.saved, is_stored=is_stored)


def _urgency(job: StoreJob) -> int:
    """Return the job's rank: an idle worker's needs first, an attempt's reports before its end."""
    match job:
        case AskCheckpoint():
            return 0
        case AskClaim():
            return 1
        case AskWrite() | AskNoteCode():
            return 2
        case AskEnd():
            return 3
        case AskChanges() | AskElsewhere() | AskUpload():
            return 4
        case _:
            assert_never(job)
