"""The store threads: one call at a time, in order of urgency, each repeated until answered.

An agent has two: "claims" for what idle workers wait for, and "store" for all that is written.
"""

import logging
import os
import queue
import random
import tempfile
import threading
from itertools import count
from pathlib import Path
from typing import assert_never

from tuner.agent.acts import (
    AskChanges,
    AskCheckpoint,
    AskClaim,
    AskElsewhere,
    AskEnd,
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
    HelperFailed,
    StoreBack,
    away,
)
from tuner.agent.port import Complete, Store
from tuner.agent.threads.suggester import SuggestionSource
from tuner.errors import DatabaseAway, RunFailed, TunerError
from tuner.study.feed import Seen

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class StoreThread(threading.Thread):
    """Carries out the agent's store jobs and puts the answers into its inbox.

    Every job is idempotent, so one whose answer was lost with the connection is simply done again.
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
        super().__init__(name=name, daemon=True)
        self._store = store
        self._source = source
        self._complete = complete
        self._inbox = inbox
        self._spool = spool
        self._seen = Seen()
        self._jobs: queue.PriorityQueue[tuple[int, int, StoreJob | None]] = queue.PriorityQueue()
        self._counter = count()
        self._is_look_posted = False
        self._stopped = threading.Event()

    def post(self, job: StoreJob) -> None:
        """Do it soon."""
        self._jobs.put((_urgency(job), next(self._counter), job))

    def stop(self) -> None:
        """Do no more; a job that is being repeated is given up."""
        self._stopped.set()
        self._jobs.put((-1, next(self._counter), None))

    def run(self) -> None:
        """Jobs until stopped."""
        while not self._stopped.is_set():
            _, _, job = self._jobs.get()
            if job is None:
                return
            try:
                answers = self._persist(job)
            except TunerError as error:
                self._inbox.put(HelperFailed(error=error))
                return
            except Exception as error:
                # A bug of ours must not leave the agent waiting for an answer for ever.
                failed = RunFailed(f"the store thread failed: {type(error).__name__}: {error}")
                failed.__cause__ = error
                self._inbox.put(HelperFailed(error=failed))
                return
            for answer in answers:
                self._inbox.put(answer)

    def _persist(self, job: StoreJob) -> list[Event]:
        """Do a job, again and again while the database is away."""
        pause_seconds = FIRST_PAUSE_SECONDS
        is_away = False
        while not self._stopped.is_set():
            try:
                answers = self._perform(job)
            except DatabaseAway as error:
                is_away = True
                self._inbox.put(away(error, self.name))
                # Jitter: a fleet must not come back in step.
                self._stopped.wait(pause_seconds * random.uniform(0.5, 1.5))
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
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
            case AskChanges():
                return [self._look()]
            case AskCheckpoint():
                return [self._load_checkpoint(job)]
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
        """A job of its own: repeating it must not repeat what came before."""
        if not self._is_look_posted:
            self._is_look_posted = True
            self.post(AskChanges())

    def _look(self) -> Changed:
        self._is_look_posted = False
        changes = self._store.changes(self._seen)
        self._seen = changes.seen
        return Changed(changes=changes)

    def _load_checkpoint(self, job: AskCheckpoint) -> CheckpointLoaded:
        found = self._store.load_checkpoint(job.key.number)
        if found is None:
            return CheckpointLoaded(key=job.key, path=None, step=0)
        checkpoint, content = found
        try:
            path = self._spool_resumed(job.key.number, content)
        except OSError as error:
            log.error("trial %d starts anew: no room in the spool: %s", job.key.number, error)
            return CheckpointLoaded(key=job.key, path=None, step=0)
        return CheckpointLoaded(key=job.key, path=path, step=checkpoint.step)

    def _spool_resumed(self, number: int, content: bytes) -> str:
        # Not a worker's own name for its files: those are written and removed independently.
        descriptor, path = tempfile.mkstemp(dir=self._spool, prefix=f"resume-{number}-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return path


def _urgency(job: StoreJob) -> int:
    """An idle worker's needs first; what an attempt reported before its end."""
    match job:
        case AskCheckpoint():
            return 0
        case AskClaim():
            return 1
        case AskWrite():
            return 2
        case AskEnd():
            return 3
        case AskChanges() | AskElsewhere():
            return 4
        case _:
            assert_never(job)
