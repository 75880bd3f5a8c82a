"""The lane of a final training: its state and its curve are in the output folder.

`curve.json` is written before the checkpoint that belongs to it, and a checkpoint's name contains
its step: after any interruption, the newest checkpoint and the curve up to its step are whole.
"""

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from tuner.errors import RunFailed
from tuner.export.files import write_whole
from tuner.study.code import Code
from tuner.study.goal import Goal
from tuner.study.trial import Params, Values
from tuner.study.verdict import Verdict
from tuner.training.checkpoint import check_checkpoint, save_checkpoint
from tuner.training.checkpoint_file import BadCheckpoint
from tuner.training.checkpoint_folder import FolderChanged

SAVE_SECONDS = 5.0
_CURVE = "curve.json"
_NAME = re.compile(r"checkpoint-(\d+)\.(safetensors|folder)")


@dataclass(frozen=True, kw_only=True)
class Told:
    """Progress of the training, for display."""

    step: int
    n_steps: int | None
    values: Values
    best: tuple[int, float] | None = None  # step and value of the metric, earlier attempts included


class FinalLane:
    number = 0
    trusts_folders = True  # they are in this folder: no database or store brings them

    def __init__(
        self,
        params: Params,
        seed: int,
        folder: Path,
        goal: Goal,
        *,
        n_steps: int | None,
        stop: threading.Event,
        tell: Callable[[Told | str], None],
        is_stepwise: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Build the lane.

        `stop`: save and leave. `is_stepwise`: as for an objective; otherwise every save counts.
        """
        self.params, self.seed = params, seed
        self.curve: dict[int, Values] = {}
        self.kept: Mapping[str, Any] | None = None  # from a trainer's complete training
        self.checkpoint: str | None = None
        self.from_step = 0
        self.last_value: float | None = None
        self._folder, self._goal, self._n_steps = folder, goal, n_steps
        self._stop, self._tell, self._clock = stop, tell, clock
        self._is_stepwise = is_stepwise
        self._saved_at = clock()
        self._has_trouble = False
        self._resume()

    def _resume(self) -> None:
        """Continue from the newest checkpoint that can be read."""
        for step, path in sorted(_checkpoints(self._folder), reverse=True):
            try:
                check_checkpoint(path)
            except BadCheckpoint as error:
                self._tell(f"{error}; the training continues from the one before")
                continue
            stored = self._stored_curve() if step else {}
            self.curve = {int(s): values for s, values in stored.items() if int(s) <= step}
            self.checkpoint, self.from_step = str(path), step
            if step in self.curve:
                self.last_value = self.curve[step][self._goal.metric]
            return

    def _stored_curve(self) -> dict[str, Values]:
        path = self._folder / _CURVE
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise RunFailed(f"{path} cannot be read; train into another folder with -o") from error

    def begin_with(self, state: Mapping[str, Any]) -> None:
        """Start from this state instead of a fresh one."""
        self.checkpoint = str(save_checkpoint(self._folder, "checkpoint-0", state).path)

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
        """Record and display the metrics."""
        self.curve[step] = values
        best = self._best()
        self._tell(Told(step=step, n_steps=self._n_steps, values=values, best=best))

    def _best(self) -> tuple[int, float] | None:
        """Return the first of the best values so far."""
        step = min(self.curve, key=self._place)
        value = self.curve[step].get(self._goal.metric, math.nan)
        return (step, value) if math.isfinite(value) else None

    def save(self, step: int, state: Callable[[], object]) -> bool:
        """Save every few seconds, and before a stop."""
        return self.is_save_due(step) and self._write(step, state)

    def save_folder(self, step: int, folder: Path, *, force: bool = False) -> bool:
        """Save the content of a folder as often, or in any case (`force`)."""
        return (force or self.is_save_due(step)) and self._write(step, lambda: folder)

    def is_save_due(self, step: int) -> bool:
        is_due = self._clock() - self._saved_at >= SAVE_SECONDS or not self._is_stepwise
        is_known = self._is_stepwise and step == self.from_step
        return not is_known and (is_due or self._stop.is_set())

    def _write(self, step: int, state: Callable[[], object]) -> bool:
        self._saved_at = self._clock()
        try:
            write_whole(self._folder / _CURVE, json.dumps(dict(self.curve)), mode=0o600)
            file = save_checkpoint(self._folder, f"checkpoint-{step}", state())
        except FolderChanged:
            return False  # the next call tries again
        except (OSError, RunFailed) as error:
            # A full disk must not end the training; an error of the last write will.
            if not self._has_trouble:
                self._tell(f"the state of step {step} is not saved ({error}); training continues")
            self._has_trouble = True
            return False
        self._has_trouble = False
        self.checkpoint, self.from_step = str(file.path), step
        self._remove_others()
        return True

    def adopt(self, step: int, path: Path) -> None:
        """Take a state that another process has written into the folder."""
        try:
            write_whole(self._folder / _CURVE, json.dumps(dict(self.curve)), mode=0o600)
            target = self._folder / f"checkpoint-{step}{path.suffix}"
            path.rename(target)
        except OSError as error:
            self._tell(f"the state of step {step} is not saved ({error}); training continues")
            return
        self.checkpoint, self.from_step = str(target), step
        self._remove_others()

    def _remove_others(self) -> None:
        """Keep the newest state, and for a function the best one, which may be another."""
        kept = {self.checkpoint}
        if not self._is_stepwise:
            kept.update(str(path) for _, path in self._by_value()[:1])
        for _, path in _checkpoints(self._folder):
            if str(path) not in kept:
                path.unlink(missing_ok=True)

    def best_saved(self) -> tuple[int, Path] | None:
        """Return the state to deliver: of the best step that was saved and can be read."""
        for step, path in self._by_value():
            try:
                check_checkpoint(path)
            except BadCheckpoint as error:
                self._tell(f"{error}; the next best one is delivered")
                continue
            return step, path
        return None

    def _by_value(self) -> list[tuple[int, Path]]:
        """Return the saved states, the best first, those without a value last, the newest first."""
        return sorted(_checkpoints(self._folder), key=lambda saved: self._place(saved[0]))

    def _place(self, step: int) -> tuple[bool, float, int]:
        value = self.curve.get(step, {}).get(self._goal.metric, math.nan)
        if not math.isfinite(value):
            return True, 0.0, -step
        return False, self._goal.rank(value), step

    def verdict(self) -> Verdict:
        """Continue until a stop is requested."""
        return Verdict.RELEASE if self._stop.is_set() else Verdict.CONTINUE

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Save once more, so that no later interruption repeats the training."""
        self._write(max(self.curve, default=0), state)
        self.kept = deepcopy(dict(state()))

    def warn(self, text: str) -> None:
        """Show the warning."""
        self._tell(text)

    def note_code(self, code: Code) -> bool:
        """Record nothing: the config names the code."""
        return True

    def once(self, act: Callable[[], None]) -> None:
        """Act: one process trains."""
        act()

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """Raise the verdict again: the process is the command's."""


def remove_checkpoints(folder: Path) -> None:
    """Remove them once the model is in place."""
    for _, path in _checkpoints(folder):
        path.unlink(missing_ok=True)
    (folder / _CURVE).unlink(missing_ok=True)


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    found = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return [(int(match[1]), path) for match, path in found if match]
