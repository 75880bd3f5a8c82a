"""What the agent needs of samplers and pruners."""

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
        """The params of a draw, from 0."""
        ...

    def n_draws(self) -> int | None:
        """How many draws there are; None: no end."""
        ...


@runtime_checkable
class ModelSampler(Protocol):
    """Suggestions that depend on the trials so far, and on nothing but them and the seed."""

    def propose(
        self, mirror: Mirror, n: int, seed: int, shared: Collection[str] = ()
    ) -> Sequence[Suggestion]:
        """`n` suggestions, each of which sees those before it as running trials.

        All have the first one's values of the `shared` params: so they can train in one group.
        """
        ...


class Pruner(Protocol):
    """Judges trials by their reported values; asked twice, it says the same."""

    @property
    def compares_running(self) -> bool:
        """Whether it looks at what trials reported at their rungs, whatever became of them."""
        ...

    @property
    def compares_complete(self) -> bool:
        """Whether it looks at values of COMPLETE trials (`RungValue.is_complete`)."""
        ...

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """The steps below `n_steps` at which this trial can be pruned; None: length unknown."""
        ...

    def decide(self, trial: History, others: Curves) -> Decision:
        """Go on or prune at the trial's latest step; `others` may include the trial itself."""
        ...


Sampler = DrawSampler | ModelSampler
