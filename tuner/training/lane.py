"""Port between training and a trial."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tuner.study.code import Code
from tuner.study.trial import Params, Values
from tuner.study.verdict import Verdict


class Lane(Protocol):
    """One trial's place in a group; no method raises."""

    @property
    def number(self) -> int: ...

    @property
    def params(self) -> Params:
        """Return all params, the fixed ones included."""

    @property
    def seed(self) -> int: ...

    @property
    def checkpoint(self) -> str | None:
        """Return the file to continue from."""

    @property
    def from_step(self) -> int:
        """Return the step of that checkpoint; 0 without one."""

    @property
    def last_value(self) -> float | None:
        """Return the last reported objective, up to that step."""

    @property
    def trusts_folders(self) -> bool:
        """Return whether folders may be restored, which can hold pickles."""

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
        """Send the metrics of a step; never waits. `is_last`: the lane is COMPLETE with it."""

    def is_save_due(self, step: int) -> bool:
        """Return whether `save` would write a checkpoint."""

    def save(self, step: int, state: Callable[[], object]) -> bool:
        """Write a checkpoint if one is due, calling `state()` only then; return whether it was.

        A state is a tree of values, or the path of a folder. Raises `UnfitState`. Call it from the
        thread that reports.
        """

    def save_folder(self, step: int, folder: Path, *, force: bool = False) -> bool:
        """Write the content of a folder as `save` does; `force`: also if none is due.

        If the folder changes meanwhile, nothing is saved, and the next call tries again. With
        `force` it may be called from another thread than the one that reports.
        """

    def verdict(self) -> Verdict:
        """Return the verdict after the last report; wait only if the pruner decides on that."""

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Keep the weights of a trial that is COMPLETE with this value, if they are wanted.

        `state()` is the same as for `save`: the best epoch's weights are in it.
        """

    def warn(self, text: str) -> None:
        """Show a warning about this trial to the user."""

    def note_code(self, code: Code) -> bool:
        """Record the objective's files if they have changed; return whether they may be run."""

    def once(self, act: Callable[[], None]) -> None:
        """Act, once for all processes that train the trial: the others wait."""

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """Leave with this verdict, which the user's code has swallowed.

        In a process that trains only this trial, this ends the process and does not return.
        """


class UnfitState(TypeError):
    """A state that no checkpoint can hold; the message names the value and its position."""


class LaneFailed(Exception):
    """One lane failed, alone; the error is its cause."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self.lane = lane


class DetachedLane:
    """A lane without a trial, for measurements and warming up."""

    number, from_step = 0, 0
    checkpoint: str | None = None
    last_value: float | None = None
    trusts_folders = False

    def __init__(self, params: Params, seed: int = 0) -> None:
        self.params = params
        self.seed = seed

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None: ...

    def is_save_due(self, step: int) -> bool:
        return False

    def save(self, step: int, state: Callable[[], object]) -> bool:
        """Save nothing: measurements do not resume."""
        return False

    def save_folder(self, step: int, folder: Path, *, force: bool = False) -> bool:
        """Save nothing: measurements do not resume."""
        return False

    def verdict(self) -> Verdict:
        return Verdict.CONTINUE

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Keep nothing: the weights are not needed."""

    def warn(self, text: str) -> None:
        """Warn of nothing."""

    def note_code(self, code: Code) -> bool:
        """Allow any files: measurements run none of them."""
        return True

    def once(self, act: Callable[[], None]) -> None:
        """Act: one process trains."""
        act()

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """Do nothing: no user code runs."""
