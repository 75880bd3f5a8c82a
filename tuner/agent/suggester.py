"""Where params come from: pure functions of the draw, or a model that thinks in a thread."""

import queue
import threading
from collections.abc import Sequence
from typing import Protocol

from tuner.agent.events import Event, HelperFailed
from tuner.errors import RunFailed
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler, ModelSampler
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import Suggestion
from tuner.study.trial import TrialRecord

READY_SECONDS = 30.0  # a claim waits at most so long for a model


class SuggestionSource(Protocol):
    """What a claim needs of a sampler."""

    def wait(self) -> None:
        """Before the transaction: until a suggestion is at hand, or never mind."""

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        """As many suggestions as draws, or fewer; at once."""

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """News of the study."""

    def stop(self) -> None:
        """No more."""


class DrawSource:
    """Random and grid: nothing to wait for, nothing to learn."""

    def __init__(self, sampler: DrawSampler) -> None:
        self._sampler = sampler

    def wait(self) -> None:
        """A function of the draw is always ready."""

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        return [self._sampler.suggest(draw) for draw in draws]

    def learn(self, records: Sequence[TrialRecord]) -> None:
        """The draw is all it depends on."""

    def stop(self) -> None:
        """Nothing runs."""


class ModelSource(threading.Thread):
    """Keeps one suggestion ready, so that no lock is held while the model thinks.

    The next one is computed when the study has told of the trial that took the last: every
    suggestion sees all trials before it, running ones included.
    """

    def __init__(
        self,
        sampler: ModelSampler,
        mirror: Mirror,
        *,
        study_seed: int,
        ordinal: int,
        inbox: "queue.SimpleQueue[Event]",
    ) -> None:
        super().__init__(name="suggester", daemon=True)
        self._sampler = sampler
        self._mirror = mirror
        self._study_seed = study_seed
        self._ordinal = ordinal
        self._inbox = inbox
        self._news: queue.SimpleQueue[Sequence[TrialRecord] | None] = queue.SimpleQueue()
        self._ready: list[Suggestion] = []
        self._changed = threading.Condition()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ready, READY_SECONDS)

    def suggest(self, draws: Sequence[int]) -> Sequence[Suggestion]:
        with self._changed:
            taken, self._ready = self._ready[: len(draws)], self._ready[len(draws) :]
        return taken

    def learn(self, records: Sequence[TrialRecord]) -> None:
        self._news.put(records)

    def stop(self) -> None:
        self._news.put(None)

    def run(self) -> None:
        """Learn all that is new, then think if nothing is ready."""
        try:
            n_proposed = 0
            while (records := self._wait_for_news()) is not None:
                self._mirror.update(records)
                if self._ready:
                    continue
                seed = derive_seed(self._study_seed, "suggestion", self._ordinal, n_proposed)
                suggestions = self._sampler.propose(self._mirror, 1, seed, {})
                n_proposed += 1
                with self._changed:
                    self._ready += suggestions
                    self._changed.notify_all()
        except Exception as error:
            # Whatever the sampler raises ends the agent, not only this thread.
            failed = RunFailed(f"the sampler failed: {type(error).__name__}: {error}")
            self._inbox.put(HelperFailed(error=failed))

    def _wait_for_news(self) -> list[TrialRecord] | None:
        """All that came since the last call, at least one message; None: stop."""
        news = self._news.get()
        records: list[TrialRecord] = []
        while news is not None:
            records += news
            if self._news.empty():
                return records
            news = self._news.get()
        return None
