"""Training state that survives the process: `trial.checkpoint`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tuner.study.verdict import Verdict
from tuner.training.lane import Lane, UnfitState
from tuner.trial.ends import Mistake


class Owner(Protocol):
    """The trial, as its checkpoints see it."""

    @property
    def step(self) -> int: ...

    def resume_after(self, step: int, value: float | None) -> None: ...

    def obey(self, verdict: Verdict, *, is_saved: bool) -> None: ...

    def end_if_swallowed(self) -> None: ...


class Checkpoints:
    """Training state that survives the process: `trial.checkpoint`."""

    def __init__(self, trial: Owner, lane: Lane) -> None:
        self._trial = trial
        self._lane = lane
        self.is_used = False

    def load(self) -> Any:
        """Return the state to continue from, tensors on the CPU; None at a trial's beginning."""
        self.is_used = True
        if self._lane.checkpoint is None:
            return None
        self._trial.resume_after(self._lane.from_step, self._lane.last_value)
        from tuner.training.checkpoint import load_checkpoint  # noqa: PLC0415 - loads torch

        return load_checkpoint(Path(self._lane.checkpoint))

    def save(self, state: object | Callable[[], object]) -> None:
        """Save the state after the last reported step if a checkpoint is due (`checkpoints.every`).

        It is a tree of dicts, lists, tuples, numbers, text, tensors and arrays; `state_dict()`s are
        such trees. A function as `state` is called only when a checkpoint is written. Call it after
        `report`. Raises as `report` does, and `Mistake` for anything else in the tree.
        """
        self.is_used = True
        self._trial.end_if_swallowed()
        build: Callable[[], object] = state if callable(state) else lambda: state
        is_saved = self._save(build)
        verdict = self._lane.verdict()
        if verdict is Verdict.RELEASE and not is_saved:
            self._save(build)  # it came after the look at whether one is due
        self._trial.obey(verdict, is_saved=True)

    def _save(self, build: Callable[[], object]) -> bool:
        try:
            return self._lane.save(self._trial.step, build)
        except UnfitState as error:
            raise Mistake(str(error)) from error
