"""Pruning of values outside given bounds."""

import math

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.strides import strided_schedule
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.verdict import Verdict


class ThresholdPruner:
    """A trial continues while its latest value is a number between `lower` and `upper`.

    As Optuna's `ThresholdPruner` (5.0), bounds included; None is no bound. Checks are at max(1,
    n_warmup_steps) and every `interval_steps` after, since steps count from 1; Optuna's are at
    n_warmup_steps + k * interval_steps, the first one at once.
    """

    compares_running = False
    compares_complete = False

    def __init__(
        self,
        *,
        lower: float | None,
        upper: float | None,
        n_warmup_steps: int,
        interval_steps: int,
    ) -> None:
        self._lower = -math.inf if lower is None else lower
        self._upper = math.inf if upper is None else upper
        self._n_warmup_steps = n_warmup_steps
        self._interval_steps = interval_steps

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """Return every `interval_steps`-th step after the warm-up."""
        return strided_schedule(self._n_warmup_steps, self._interval_steps, n_steps)

    def decide(self, trial: History, others: Curves) -> Decision:
        """Judge the latest value if it reached a check; no other trial counts."""
        step = trial.step
        if not trial.rungs(self.schedule(trial.place, trial.n_steps)):
            return Decision(action=Verdict.CONTINUE, reason=f"step {step} is no check")
        value = trial.values[step]
        if math.isnan(value):
            reason = "the value is nan"
        elif value < self._lower:
            reason = f"{value:.4g} is below the lower bound {self._lower:.4g}"
        elif value > self._upper:
            reason = f"{value:.4g} is above the upper bound {self._upper:.4g}"
        else:
            reason = f"{value:.4g} is within the bounds"
            return Decision(action=Verdict.CONTINUE, reason=f"step {step}: {reason}")
        return Decision(action=Verdict.PRUNE, reason=f"step {step}: {reason}")
