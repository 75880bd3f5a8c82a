"""Median and percentile pruning."""

import math
from collections.abc import Sequence

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.strides import strided_schedule
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


class PercentilePruner:
    """A trial continues while its best value so far is among the best `percentile` percent.

    It is compared with the reports of COMPLETE trials at the same step, as in Optuna's
    `PercentilePruner`; 50 is its `MedianPruner`. With the trial's best value b up to step s, and P
    the percentile (linear interpolation, of the best values) of the COMPLETE trials' values at s:
    pruned when b is worse than P. It is not pruned before `n_startup_trials` trials are COMPLETE,
    nor if fewer than `n_min_trials` of them have a value at s.

    Deliberate differences from Optuna's (5.0):

    - Steps count from 1, so checks are at max(1, n_warmup_steps) and every `interval_steps` after;
      Optuna's are at n_warmup_steps + k * interval_steps, the first one at once.
    - With intervals, the first report at or after a check counts there for a trial that skips
      steps. Optuna compares at the exact step, where no other trial may have a value.
    """

    compares_running = False
    compares_complete = True

    def __init__(
        self,
        *,
        direction: Direction,
        percentile: float,
        n_startup_trials: int,
        n_warmup_steps: int,
        interval_steps: int,
        n_min_trials: int,
    ) -> None:
        self._direction = direction
        self._percentile = percentile
        self._n_startup_trials = n_startup_trials
        self._n_warmup_steps = n_warmup_steps
        self._interval_steps = interval_steps
        self._n_min_trials = n_min_trials
        self._name = "median" if percentile == 50 else f"{percentile:g} % percentile"

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """Return every `interval_steps`-th step after the warm-up."""
        return strided_schedule(self._n_warmup_steps, self._interval_steps, n_steps)

    def decide(self, trial: History, others: Curves) -> Decision:
        """Compare the best value so far at the check that the latest report reached."""
        checks = trial.rungs(self.schedule(trial.place, trial.n_steps))
        if not checks:
            return Decision(action=Verdict.CONTINUE, reason=f"step {trial.step} is no check")
        step = checks[-1]
        n_complete = len(others.at(0, complete=True))
        if n_complete < max(1, self._n_startup_trials):
            reason = f"step {step}: {n_complete} trials are complete, fewer than at the start-up"
            return Decision(action=Verdict.CONTINUE, reason=reason)
        values = [value for value in trial.values.values() if not math.isnan(value)]
        if not values:
            return Decision(action=Verdict.PRUNE, reason=f"step {step}: all values are nan")
        is_low_best = self._direction is Direction.MINIMIZE
        best = min(values) if is_low_best else max(values)
        known = others.at(step, complete=True)
        if len(known) < max(1, self._n_min_trials):
            reason = f"step {step}: {len(known)} complete trials have a value there, too few"
            return Decision(action=Verdict.CONTINUE, reason=reason)
        bound = percentile_of(known, self._percentile if is_low_best else 100 - self._percentile)
        is_worse = best > bound if is_low_best else best < bound
        verb = "is worse than" if is_worse else "is not worse than"
        return Decision(
            action=Verdict.PRUNE if is_worse else Verdict.CONTINUE,
            reason=f"step {step}: best {best:.4g} {verb} the {self._name} {bound:.4g} "
            f"of {len(known)} trials",
        )


def percentile_of(ascending: Sequence[float], percentile: float) -> float:
    """Compute the percentile as `numpy.percentile` does, rounding included, without a copy."""
    place = (len(ascending) - 1) * (percentile / 100)
    below = math.floor(place)
    low, high = ascending[below], ascending[min(below + 1, len(ascending) - 1)]
    part = place - below
    if low == high or part == 0:
        return low
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part
