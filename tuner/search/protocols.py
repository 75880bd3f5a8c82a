"""Ports of samplers and pruners."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.mirror import Mirror
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.suggestion import Suggestion


@runtime_checkable
class DrawSampler(Protocol):
    """Suggestions that are pure functions of (study seed, draw)."""

    def suggest(self, draw: int) -> Suggestion:
        """Return the params of a draw, from 0."""
        ...

    def n_draws(self) -> int | None:
        """Return how many draws there are; None: no end."""
        ...


@runtime_checkable
class ModelSampler(Protocol):
    """Suggestions that depend only on the trials so far and the seed."""

    @property
    def reads_rungs(self) -> bool:
        """Return whether it uses the values of trials at rungs (`Mirror.rungs_of`)."""
        ...

    def propose(
        self, mirror: Mirror, n: int, seed: int, shared: Collection[str] = ()
    ) -> Sequence[Suggestion]:
        """Return `n` suggestions, each of which sees those before it as running trials.

        All have the first one's values of the `shared` params, so that they can train in one group.
        """
        ...


class Pruner(Protocol):
    """Judges trials by their reported values; a repeated call gives the same decision."""

    @property
    def compares_running(self) -> bool:
        """Return whether it uses reports of trials at their rungs, however the trials ended."""
        ...

    @property
    def compares_complete(self) -> bool:
        """Return whether it uses values of COMPLETE trials (`RungValue.is_complete`)."""
        ...

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """Return the steps below `n_steps` (None: unknown) at which this trial can be pruned."""
        ...

    def decide(self, trial: History, others: Curves) -> Decision:
        """Decide at the trial's latest step; `others` may include the trial itself."""
        ...


Sampler = DrawSampler | ModelSampler
