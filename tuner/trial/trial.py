"""The trial that a user's `def train(trial)` gets: its params, its reports, its end."""

import logging
import math
import operator
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from threading import RLock
from typing import Any, NoReturn

from tuner.study.trial import MAX_NAME, Params, ParamValue
from tuner.study.verdict import Verdict
from tuner.training.lane import Lane
from tuner.trial.alone import Alone
from tuner.trial.asked import Written
from tuner.trial.checkpoints import Checkpoints
from tuner.trial.ends import (
    ENDS,
    IGNORED,
    SWALLOWED,
    Mistake,
    TrialDropped,
    TrialEnd,
    TrialPruned,
)
from tuner.trial.suggestions import Suggestions
from tuner.trial.values import (
    MAX_ATTRIBUTE,
    attribute_of,
    cast_number,
    check_number,
    check_returned,
    is_too_long,
)

log = logging.getLogger(__name__)

MAX_METRICS = 100  # in one report
MAX_ATTRIBUTES = 100  # of a trial
MAX_STEP = 1_000_000_000

# Attributes of Optuna's trials without a counterpart here, and their replacements.
_NOT_HERE = {
    "study": "the study is tuner's; read it with tuner.load_study",
    "storage": "only the agent talks to the database",
    "distributions": "the ranges stand in the study file",
    "system_attrs": "use trial.user_attrs",
    "set_system_attr": "use trial.set_user_attr",
    "constraints": "no sampler here takes constraints",
    "set_constraint": "no sampler here takes constraints; note it with trial.set_user_attr",
}


class NotHere(Mistake, AttributeError):
    """A name of Optuna's trials that `Trial` lacks; an `AttributeError` for `hasattr`."""


class Form(Enum):
    """The form of an objective's reports, which must not change."""

    TUNERS = "trial.report(step=..., NAME=...)"
    OPTUNAS = "trial.report(value, step)"


class Trial(Suggestions):
    """One assignment of parameters to try.

    tuner creates it for `def train(trial)`. Created by hand, `train(tuner.Trial(params={"lr":
    0.1}))` runs the same function alone, and `trial.reports` has its reports.
    """

    def __init__(
        self,
        params: Params | None = None,
        *,
        seed: int = 0,
        device: str | None = None,
        dir: str | Path | None = None,
        number: int = 0,
        metric: str | None = None,
        lane: Lane | None = None,
        space: Mapping[str, Written] | None = None,
    ) -> None:
        """Build a trial.

        `params`: None to draw them from the seed in `suggest_*`. `device`: None for "cuda:0" if
        torch is loaded and has one, otherwise "cpu". `dir`: the trial's own folder, None for a
        temporary one. `metric`: required in every report. `lane`: the connection to tuner. `space`:
        the study's search space, if it is known.
        """
        super().__init__(space, is_drawing=params is None)
        self.params: dict[str, ParamValue] = dict(params or {})
        self.seed = seed  # 0 .. 2**32 - 1
        self.number = number
        self.device = device if device is not None else _default_device()
        self.datetime_start = datetime.now()
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.user_attrs: dict[str, object] = {}
        self.end: TrialEnd | None = None  # once it was raised
        self._dir = None if dir is None else Path(dir)
        self._metric = metric
        self._lane = lane if lane is not None else Alone(self)
        self._known: tuple[int, float | None] = (0, None)  # by the state that was loaded
        self._release_seen_at: int | None = None  # the step after which a release waits for a save
        self._form: Form | None = None
        self._is_told = False  # to prune, by `should_prune`
        self._has_ignored = False  # a report, and warned of it
        self._lock = RLock()  # an objective may report from several threads
        self.checkpoint = Checkpoints(self, self._lane)

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_HERE:
            raise NotHere(f"Optuna's trial.{name} is not there in tuner: {_NOT_HERE[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def dir(self) -> Path:
        """Return a folder of this trial's own on this machine, created at first use."""
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix="tuner-trial-"))
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._dir

    @property
    def step(self) -> int:
        """Return the last reported step, that of a loaded state included; 0 for none."""
        return self.reports[-1][0] if self.reports else self._known[0]

    @property
    def last_value(self) -> float | None:
        """Return the study's metric at that step."""
        if self.reports and self._metric is not None:
            return self.reports[-1][1][self._metric]
        return self._known[1]

    @property
    def is_optuna_style(self) -> bool:
        """Return whether the objective is written for Optuna, judging by its calls."""
        return self._form is Form.OPTUNAS or (self._form is None and self.is_asked)

    def report(self, *numbers: float, step: int | None = None, **values: float) -> None:
        """Report metrics of a step (from 1, growing; None: the one after the last).

        Raises `TrialPruned` when the pruner stops the trial and `TrialReleased` when it is
        released; `Mistake` for a value that is no number, a step that does not grow, or a report
        without the study's metric. Steps up to the loaded state's are known and not sent again. A
        trial that uses `trial.checkpoint` is released at its next `save`, so that no step is lost.

        `report(value, step)` is Optuna's form: its step s, from 0, is stored as s + 1, a step that
        does not grow is ignored, and `should_prune` gives the verdict instead of `TrialPruned`.
        """
        with self._lock:
            self.end_if_swallowed(is_report=True)
            if self._is_optunas(numbers, step, values):
                steps = [] if step is None else [step]
                self._report_as_optuna(*numbers, *values.values(), *steps)
            else:
                self._report_as_tuner(numbers, step, values)

    def _is_optunas(
        self, numbers: tuple[float, ...], step: int | None, values: Mapping[str, float]
    ) -> bool:
        """Return whether a call of `report` has exactly two numbers, a value and a step.

        If the metric is called `value`, `report(step=..., value=...)` is tuner's form, unless the
        objective calls `suggest_*` as Optuna's do.
        """
        if not values:
            return len(numbers) + (step is not None) == 2 and len(numbers) > 0
        is_named = not numbers and step is not None and values.keys() == {"value"}
        return is_named and (self.is_asked or self._metric != "value")

    def _report_as_tuner(
        self, numbers: tuple[float, ...], step: int | None, values: Mapping[str, float]
    ) -> None:
        if numbers and (step is not None or len(numbers) > 1):
            name = self._metric or "loss"
            raise Mistake(f"a metric needs its name; call trial.report(step=..., {name}=...)")
        self._keep_to(Form.TUNERS)
        at = self._check_step(numbers[0] if numbers else step)
        checked = {name: check_number(name, value) for name, value in values.items()}
        self._check_names(checked)
        if at > self._known[0]:
            self._send(at, checked)

    def _report_as_optuna(self, value: object, step: object) -> None:
        self._keep_to(Form.OPTUNAS)
        number = cast_number("value", value)
        at = self._check_optuna_step(step) + 1
        if at <= self._known[0]:
            return
        if at <= self.step:
            self._ignore(at - 1)
            return
        self._send(at, {self._metric or "value": number})

    def _send(self, at: int, values: dict[str, float]) -> None:
        self.reports.append((at, values))
        self._lane.report(at, values)
        if self._metric is not None and not math.isfinite(values[self._metric]):
            self._leave(TrialDropped(f"{self._metric} is {values[self._metric]} at step {at}"))
        self.obey(self._lane.verdict())

    def should_prune(self) -> bool:
        """Return whether the pruner stops the trial, for reports in Optuna's form."""
        with self._lock:
            self.end_if_swallowed()
            verdict = self._lane.verdict()
            if verdict is not Verdict.PRUNE:
                self.obey(verdict)
            self._is_told = verdict is Verdict.PRUNE
            return self._is_told

    def obey(self, verdict: Verdict, *, is_saved: bool = False) -> None:
        """Raise the end that a verdict asks for, unless the code has to be given some time.

        A trial with checkpoints is released when it has saved (`is_saved`), or at the report after
        the one at which it should have. In Optuna's form the code asks whether it is pruned.
        """
        is_asking = verdict is Verdict.PRUNE and self._form is Form.OPTUNAS
        if verdict is Verdict.CONTINUE or is_asking:
            return
        if verdict is Verdict.RELEASE and self.checkpoint.is_used and not is_saved:
            if self._release_seen_at is None:
                self._release_seen_at = self.step
            if self._release_seen_at == self.step:
                return
        self._leave(ENDS[verdict]())

    def end_if_swallowed(self, *, is_report: bool = False) -> None:
        """End the process if code continues after its stop; never outside tuner."""
        note = SWALLOWED
        if is_report and self._is_told and self.end is None:
            self.end, note = TrialPruned(), IGNORED
        if self.end is None:
            return
        verdict = next(verdict for verdict, end in ENDS.items() if type(self.end) is end)
        log.warning("trial %d ends here: %s", self.number, note)
        self._lane.leave(verdict, note, self.user_attrs)
        raise self.end

    def resume_after(self, step: int, value: float | None) -> None:
        """Continue the count from the step of the loaded state; the metric had this value there."""
        self._known = step, value

    def set_user_attr(self, key: str, value: object) -> None:
        """Record an attribute (one of Optuna's user attributes): any plain JSON value.

        One that is too long, and one too many, is dropped with a warning in the log.
        """
        if not isinstance(key, str) or not key:
            raise Mistake(f"an attribute's name is text of 1 to {MAX_NAME} characters, not {key!r}")
        attribute = attribute_of(key, value)
        if len(key) > MAX_NAME:
            why = f"its name is longer than {MAX_NAME} characters"
        elif is_too_long(attribute):
            why = f"it is longer than {MAX_ATTRIBUTE} characters"
        elif key not in self.user_attrs and len(self.user_attrs) >= MAX_ATTRIBUTES:
            why = f"the trial has {MAX_ATTRIBUTES} of them"
        else:
            self.user_attrs[key] = attribute
            return
        log.warning("attribute %.64s is dropped: %s", key, why)

    def _leave(self, end: TrialEnd) -> NoReturn:
        self.end = end
        raise end

    def _keep_to(self, form: Form) -> None:
        if self._form not in (None, form):
            raise Mistake(
                f"the objective calls {Form.OPTUNAS.value}, Optuna's form, and "
                f"{Form.TUNERS.value}; keep to one of them"
            )
        self._form = form

    def _ignore(self, step: int) -> None:
        if not self._has_ignored:
            log.warning(
                "a report of step %d after step %d is ignored: only new steps count (logged once)",
                step,
                self.step - 1,
            )
        self._has_ignored = True

    def _check_step(self, step: float | None) -> int:
        if step is None:
            return self.step + 1
        try:
            at = operator.index(step)  # type: ignore[arg-type]
        except TypeError:
            raise Mistake(f"step is {step!r}; give a whole number from 1 on") from None
        if isinstance(step, bool) or not 1 <= at <= MAX_STEP:
            raise Mistake(f"step is {step!r}; steps count from 1")
        if self.reports and at <= self.step:
            raise Mistake(f"step {at} was reported after step {self.step}; steps must grow")
        return at

    def _check_optuna_step(self, step: Any) -> int:
        """Return the step, which counts from 0."""
        try:
            at = int(step)
            is_whole = at == step or isinstance(step, str)
        except (TypeError, ValueError, OverflowError):
            is_whole = False
        if not is_whole:
            name = self._metric or "loss"
            raise Mistake(
                f"trial.report(value, step) got the step {step!r}, which is no whole number; if it "
                f"is a metric, it needs its name; call trial.report(step=..., {name}=...)"
            )
        if not 0 <= at < MAX_STEP:
            raise Mistake(f"trial.report(value, step) got the step {step!r}; they count from 0")
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
                f"the report has {', '.join(values)}, and not the study's metric; "
                f"call trial.report({self._metric}=...)"
            )


def check_return(value: object, trial: Trial, metric: str) -> float:
    """Return the trial's value: the function's result, otherwise its last report.

    Raises `Mistake` for anything but a number, and for nothing at all.
    """
    if value is not None:
        return check_returned(value, is_cast=trial.is_optuna_style)
    if trial.last_value is None:
        raise Mistake(
            f"it returned None and reported nothing; return {metric} as a float, or call "
            f"trial.report({metric}=...)"
        )
    return trial.last_value


def _default_device() -> str:
    """Return the default device without loading torch."""
    torch = sys.modules.get("torch")
    return "cuda:0" if torch is not None and torch.cuda.is_available() else "cpu"
