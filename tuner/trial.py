"""`tuner.Trial`: what a user's `def train(trial)` gets, with and without tuner around it."""

import math
import numbers
import operator
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from tuner.study.trial import MAX_NAME, Params, ParamValue, Values
from tuner.training.lane import Lane, Verdict

MAX_METRICS = 100  # in one report
MAX_ATTRIBUTE = 2_000  # characters of an attribute's text
MAX_STEP = 1_000_000_000


class TrialEnd(BaseException):
    """The trial ends here. A `BaseException`: `except Exception` must not swallow it."""


class TrialPruned(TrialEnd):
    """The pruner stops this trial, or the study ends."""


class TrialReleased(TrialEnd):
    """The trial is handed back: it goes on later, from its last checkpoint."""


class TrialDropped(TrialEnd):
    """The trial is not this process's any more: nothing that it does counts."""


class Mistake(Exception):
    """The objective's code does not keep to the rules; the message says which and what to do."""


_ENDS: Mapping[Verdict, type[TrialEnd]] = {
    Verdict.PRUNE: TrialPruned,
    Verdict.RELEASE: TrialReleased,
    Verdict.DROP: TrialDropped,
}


class Trial:
    """One assignment of parameters to try.

    Made by tuner for `def train(trial)`; by hand, `train(tuner.Trial(params={"lr": 0.1}))` runs
    the same function alone, and `trial.reports` holds what it reported.
    """

    def __init__(
        self,
        params: Params,
        *,
        seed: int = 0,
        device: str | None = None,
        dir: str | Path | None = None,
        number: int = 0,
        metric: str | None = None,
        lane: Lane | None = None,
    ) -> None:
        """`device`: None for "cuda:0" where torch is loaded and has one, else "cpu". `dir`: the
        trial's own folder, None for a temporary one. `metric`: what every report has to contain.
        `lane`: where tuner listens.
        """
        self.params: dict[str, ParamValue] = dict(params)
        self.seed = seed  # 0 .. 2**32 - 1
        self.number = number
        self.device = device if device is not None else _default_device()
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.user_attrs: dict[str, bool | int | float | str] = {}
        self.end: TrialEnd | None = None  # once it was raised
        self._dir = None if dir is None else Path(dir)
        self._metric = metric
        self._lane = lane if lane is not None else _Alone(self)
        self._known: tuple[int, float | None] = (0, None)  # by the state that was loaded
        self._is_release_pending = False
        self.checkpoint = Checkpoints(self, self._lane)

    @property
    def dir(self) -> Path:
        """A folder of this trial's own on this machine, made when it is first asked for."""
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix="tuner-trial-"))
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._dir

    @property
    def step(self) -> int:
        """The last step reported, by the attempt whose state was loaded too; 0 for none."""
        return self.reports[-1][0] if self.reports else self._known[0]

    @property
    def last_value(self) -> float | None:
        """The study's metric at that step."""
        if self.reports and self._metric is not None:
            return self.reports[-1][1][self._metric]
        return self._known[1]

    def report(self, step: int | None = None, *unnamed: float, **values: float) -> None:
        """Report metrics of a step (from 1, growing; None: the one after the last).

        Raises `TrialPruned` when the pruner stops the trial and `TrialReleased` when it is handed
        back; `Mistake` for a value that is no number, a step that does not grow, or a report
        without the study's metric. Steps up to the loaded state's are known and not sent again. A
        trial that uses `trial.checkpoint` is handed back at its next
        `save`, so that no step is lost.
        """
        if unnamed:
            name = self._metric or "loss"
            raise Mistake(f"a metric needs its name; call trial.report(step=..., {name}=...)")
        at = self._check_step(step)
        checked = {name: _check_number(name, value) for name, value in values.items()}
        self._check_names(checked)
        if at <= self._known[0]:
            return
        self.reports.append((at, checked))
        self._lane.report(at, checked)
        if self._metric is not None and not math.isfinite(checked[self._metric]):
            self._leave(TrialDropped(f"{self._metric} is {checked[self._metric]} at step {at}"))
        verdict = self._lane.verdict()
        is_first = not self._is_release_pending
        if verdict is Verdict.RELEASE and self.checkpoint.is_used and is_first:
            self._is_release_pending = True
        elif verdict is not Verdict.GO_ON:
            self._leave(_ENDS[verdict]())

    def set_user_attr(self, key: str, value: bool | int | float | str) -> None:
        """Note a fact for the record (one of Optuna's user attributes)."""
        if not isinstance(key, str) or not 0 < len(key) <= MAX_NAME:
            raise Mistake(f"an attribute's name is text of 1 to {MAX_NAME} characters, not {key!r}")
        if isinstance(value, numbers.Real) and not isinstance(value, bool | int):
            value = float(value)
        if not isinstance(value, bool | int | float | str):
            raise Mistake(f"attribute {key} is a {_kind(value)}; give a number, text or bool")
        if len(str(value)) > MAX_ATTRIBUTE:
            raise Mistake(f"attribute {key} is longer than {MAX_ATTRIBUTE} characters")
        self.user_attrs[key] = value

    def _leave(self, end: TrialEnd) -> NoReturn:
        self.end = end
        raise end

    def _check_step(self, step: int | None) -> int:
        if step is None:
            return self.step + 1
        try:
            at = operator.index(step)
        except TypeError:
            raise Mistake(f"step is {step!r}; give a whole number from 1 on") from None
        if isinstance(step, bool) or not 1 <= at <= MAX_STEP:
            raise Mistake(f"step is {step!r}; steps count from 1")
        if self.reports and at <= self.step:
            raise Mistake(f"step {at} was reported after step {self.step}; steps must grow")
        return at

    def _check_names(self, values: Mapping[str, float]) -> None:
        if not values:
            raise Mistake(
                f"the report has no metric; call trial.report({self._metric or 'loss'}=...)"
            )
        if len(values) > MAX_METRICS or any(len(name) > MAX_NAME for name in values):
            raise Mistake(f"a report holds at most {MAX_METRICS} metrics of {MAX_NAME} characters")
        if self._metric is not None and self._metric not in values:
            raise Mistake(
                f"the report has {', '.join(values)}, and not what the study is after; "
                f"call trial.report({self._metric}=...)"
            )


class Checkpoints:
    """Training state that survives the process: `trial.checkpoint`."""

    def __init__(self, trial: Trial, lane: Lane) -> None:
        self._trial = trial
        self._lane = lane
        self.is_used = False

    def load(self) -> Any:
        """The state to go on from, tensors on the CPU; None at a trial's beginning."""
        self.is_used = True
        if self._lane.checkpoint is None:
            return None
        self._trial._known = self._lane.from_step, self._lane.last_value
        load_checkpoint = import_module("tuner.training.checkpoint").load_checkpoint  # loads torch
        return load_checkpoint(Path(self._lane.checkpoint))

    def save(self, state: object | Callable[[], object]) -> None:
        """Save the state after the last reported step, if it is time (`checkpoints.every`).

        A tree of dicts, lists, tuples, numbers, text, tensors and arrays; `state_dict()`s are
        such. A function is called only when something is written. Call it after `report`.
        Raises as `report` does, and `Mistake` for anything else in the tree.
        """
        self.is_used = True
        build: Callable[[], object] = state if callable(state) else lambda: state
        is_saved = self._save(build)
        verdict = self._lane.verdict()
        if verdict is Verdict.RELEASE and not is_saved:
            self._save(build)  # it came after the look at whether one is due
        if verdict is not Verdict.GO_ON:
            self._trial._leave(_ENDS[verdict]())

    def _save(self, build: Callable[[], object]) -> bool:
        try:
            return self._lane.save(self._trial.step, build)
        except TypeError as error:
            raise Mistake(str(error)) from error


class _Alone:
    """A lane for a trial that nobody watches."""

    from_step, last_value = 0, None

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    @property
    def number(self) -> int:
        return self._trial.number

    @property
    def params(self) -> Params:
        return self._trial.params

    @property
    def seed(self) -> int:
        return self._trial.seed

    @property
    def checkpoint(self) -> str | None:
        files = sorted(self._trial.dir.glob("checkpoint.safetensors"))
        return str(files[0]) if files else None

    def report(self, step: int, values: Values) -> None:
        """It stands in `trial.reports` already."""

    def save(self, step: int, state: Callable[[], object]) -> bool:
        save_checkpoint = import_module("tuner.training.checkpoint").save_checkpoint
        save_checkpoint(self._trial.dir, "checkpoint", state())
        return True

    def verdict(self) -> Verdict:
        return Verdict.GO_ON

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Of a function only what it saves itself is kept."""


def _check_number(name: str, value: object) -> float:
    """The value as a float; numpy's numbers are numbers, tensors are not."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    hint = f"{name}={name}.item()" if hasattr(value, "item") else f"{name}=float(...)"
    raise Mistake(f"{name} is a {_kind(value)}, not a number; report {hint}")


def check_return(value: object, trial: Trial, metric: str) -> float:
    """The trial's value: what the function returned, else what it reported last.

    Raises `Mistake` for anything but a number, and for nothing at all.
    """
    if value is None:
        if trial.last_value is None:
            raise Mistake(
                f"it returned None and reported nothing; return {metric} as a float, or call "
                f"trial.report({metric}=...)"
            )
        return trial.last_value
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    hint = "return it as a float, with .item()" if hasattr(value, "item") else "return a float"
    raise Mistake(f"it returned a {_kind(value)}; {hint}")


def _kind(value: object) -> str:
    return type(value).__name__


def _default_device() -> str:
    """Without loading torch for those who do not use it."""
    torch = sys.modules.get("torch")
    return "cuda:0" if torch is not None and torch.cuda.is_available() else "cpu"
