"""Where params come from: pure functions of the draw, or a model that thinks in a thread."""

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
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import Suggestion
from tuner.study.trial import TrialRecord

SERVE_SECONDS = 2.0  # that a claim waits for more than one suggestion
READY_SECONDS = 30.0  # a claim waits at most so long for a model


class SuggestionSource(Protocol):
    """What a claim needs of a sampler."""

    def wait(self, n: int) -> None:
        """Before the transaction: until so many suggestions are at hand, or never mind."""

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        """As many suggestions as draws, or fewer; at once."""

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """News of the study."""

    def stop(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Ticket:
    """Somebody waits for suggestions."""

    number: int
    n: int  # suggestions


class DrawSource:
    """Random and grid: nothing to wait for, nothing to learn."""

    def __init__(self, sampler: DrawSampler) -> None:
        self._sampler = sampler

    def wait(self, n: int) -> None:
        """A function of the draw is always ready."""

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        return [self._sampler.suggest(draw) for draw in draws]

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """The draw is all it depends on."""

    def stop(self) -> None: ...


class ModelSource(JobThread["Sequence[TrialRecord] | _Ticket"]):
    """A model that thinks in its own thread, before the claim's transaction.

    Each suggestion sees every trial that this machine has heard of when it is asked for, running
    ones included; one that was not taken and that nothing has made stale since is used again.
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
        """`shared` params are equal in suggestions that are asked for together."""
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

    def learn(self, records: Sequence[TrialRecord]) -> None:
        if records:
            self.post(records)

    def perform(self, job: "Sequence[TrialRecord] | _Ticket") -> None:
        """Take in news in order; think when asked."""
        if isinstance(job, _Ticket):
            self._serve(job)
            return
        self._mirror.update(job)
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
