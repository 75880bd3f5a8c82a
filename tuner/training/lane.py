"""What training needs of a trial."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tuner.study.trial import Params, Values
from tuner.study.verdict import Verdict


class Lane(Protocol):
    """One trial's place in a group. Nothing here raises."""

    @property
    def number(self) -> int: ...

    @property
    def params(self) -> Params:
        """All params, the fixed ones included."""

    @property
    def seed(self) -> int: ...

    @property
    def checkpoint(self) -> str | None:
        """The file to continue from."""

    @property
    def from_step(self) -> int:
        """The step of that checkpoint; 0 without one."""

    @property
    def last_value(self) -> float | None:
        """The objective as it was reported last, up to that step."""

    def report(self, step: int, values: Values) -> None:
        """Send the metrics of a step; never waits."""

    def save(self, step: int, state: Callable[[], object]) -> bool:
        """Write a checkpoint if one is due: `state()` is called only then; whether it was."""

    def verdict(self) -> Verdict:
        """What to do after the last report; waits only where the pruner decides on that."""

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """The trial is COMPLETE with this value: the last moment for its weights.

        `state()` is what `save` would write: the best epoch's weights are in it.
        """

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """Leave with this verdict, which the user's code has swallowed.

        Where the process is the trial's own, this ends it and does not return.
        """


class UnfitState(TypeError):
    """A state that no checkpoint can hold; the message says what and where in it."""


class LaneFailed(Exception):
    """One lane broke, alone; the error is its cause."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self.lane = lane


class Nobody:
    """A lane without a trial, for measurements and warming up."""

    number, checkpoint, from_step, last_value = 0, None, 0, None

    def __init__(self, params: Params, seed: int = 0) -> None:
        self.params = params
        self.seed = seed

    def report(self, step: int, values: Values) -> None: ...

    def save(self, step: int, state: Callable[[], object]) -> bool:
        """Nothing is kept."""
        return False

    def verdict(self) -> Verdict:
        return Verdict.CONTINUE

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Nobody wants them."""

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """There is no code of the user's."""
