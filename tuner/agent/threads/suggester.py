"""Sources of params: pure functions of the draw, or a model with a thread of its own."""

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tuner.agent.events import Event, report_failures
from tuner.helper_thread import JobThread
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler, ModelSampler
from tuner.study.report import RungValue
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import Suggestion
from tuner.study.trial import TrialRecord

SERVE_SECONDS = 2.0  # that a claim waits for more than one suggestion
READY_SECONDS = 30.0  # a claim waits at most so long for a model


class SuggestionSource(Protocol):
    """The part of a sampler that a claim needs."""

    def wait(self, n: int) -> None:
        """Wait, before the transaction, until `n` suggestions are ready or none can be."""

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        """Return as many suggestions as draws, or fewer, without waiting."""

    def learn(self, records: Sequence[TrialRecord], rungs: Sequence[RungValue] = ()) -> None:
        """Take in new records of trials and values at rungs."""

    def stop(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Ticket:
    """A request for suggestions."""

    number: int
    n: int  # suggestions


@dataclass(frozen=True, kw_only=True)
class _News:
    records: Sequence[TrialRecord]
    rungs: Sequence[RungValue]


class DrawSource:
    """Random and grid search, which neither wait nor use the record."""

    def __init__(self, sampler: DrawSampler) -> None:
        self._sampler = sampler

    def wait(self, n: int) -> None:
        """Return at once: a function of the draw is always ready."""

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        return [self._sampler.suggest(draw) for draw in draws]

    def learn(self, records: Sequence[TrialRecord], rungs: Sequence[RungValue] = ()) -> None:
        """Ignore the news: a suggestion depends on the draw alone."""

    def stop(self) -> None: ...


class ModelSource(JobThread["_News | _Ticket"]):
    """A model that works in its own thread, before the claim's transaction.

    Each suggestion considers every trial that this machine knows of at the time, running ones
    included. A suggestion that was not taken and is not outdated is used again.
    """

    def __init__(
        self,
        sampler: ModelSampler,
        mirror: Mirror,
        *,
        study_seed: int,
        ordinal: int,
        inbox: "queue.SimpleQueue[Event]",
        shared: frozenset[str] = frozenset(),
    ) -> None:
        """Build the source; `shared` params are equal in suggestions requested together."""
        # Whatever the sampler raises ends the agent, not only this thread.
        super().__init__("suggester", report_failures(inbox), role="the sampler")
        self._sampler = sampler
        self._mirror = mirror
        self._study_seed = study_seed
        self._ordinal = ordinal
        self._shared = shared
        self._seconds_each = SERVE_SECONDS  # that a suggestion takes: the first one shows
        self._ready: list[Suggestion] = []  # news make it stale
        self._reserved: list[Suggestion] = []  # for the claim that waited, whatever comes meanwhile
        self._n_proposed = 0
        self._n_asked = 0
        self._n_served = 0
        self._changed = threading.Condition()

    def wait(self, n: int) -> None:
        with self._changed:
            self._n_asked += 1
            ticket = self._n_asked
        self.post(_Ticket(number=ticket, n=n))
        with self._changed:
            self._changed.wait_for(lambda: self._n_served >= ticket, READY_SECONDS)

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        with self._changed:
            taken, self._reserved = self._reserved[: len(draws)], []
            if taken:
                self._ready = []
        return taken

    def learn(self, records: Sequence[TrialRecord], rungs: Sequence[RungValue] = ()) -> None:
        used = rungs if self._sampler.reads_rungs else ()
        if records or used:
            self.post(_News(records=records, rungs=used))

    def perform(self, job: "_News | _Ticket") -> None:
        """Take in news in order; compute suggestions on request."""
        if isinstance(job, _Ticket):
            self._serve(job)
            return
        self._mirror.update_rungs(job.rungs)
        self._mirror.update(job.records)
        with self._changed:
            self._ready = []  # stale

    def _serve(self, ticket: "_Ticket") -> None:
        n = ticket.n
        if n * self._seconds_each > SERVE_SECONDS:
            n = max(1, int(SERVE_SECONDS / self._seconds_each))
        if len(self._ready) < n:
            started = time.monotonic()
            seed = derive_seed(self._study_seed, "suggestion", self._ordinal, self._n_proposed)
            suggestions = self._sampler.propose(self._mirror, n, seed, shared=self._shared)
            self._seconds_each = (time.monotonic() - started) / n
            self._n_proposed += 1
            with self._changed:
                self._ready = list(suggestions)
        with self._changed:
            self._reserved = self._ready[: ticket.n]
            self._n_served = ticket.number
            self._changed.notify_all()
