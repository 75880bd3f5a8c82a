"""Pruning of trials that have stopped improving."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.strides import strided_schedule
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict

if TYPE_CHECKING:  # the protocol that it wraps, not the one that it fulfils
    from tuner.search.protocols import Pruner


class PatientPruner:
    """A trial is left alone until its last `patience` + 1 reports brought nothing better.

    As Optuna's `PatientPruner` (5.0): with b the best of the reports before the last
    `patience` + 1 ones and l the best of these, it is patient while l is not worse than b by more
    than `min_delta`; NaN is passed over. Out of patience, the wrapped pruner decides; without one
    the trial is pruned.

    Deliberate differences from Optuna's:

    - A wrapped pruner judges at its own steps. Optuna's is asked at every step, so that its
      `SuccessiveHalvingPruner`, first asked long after a rung, judges there belatedly.
    - Where all reports on one side are NaN the trial goes on, as Optuna's documentation says,
      without the warning that NumPy gives.
    """

    def __init__(
        self,
        *,
        direction: Direction,
        patience: int,
        min_delta: float,
        wrapped: "Pruner | None",
    ) -> None:
        self._rank = direction.rank
        self._patience = patience
        self._min_delta = min_delta
        self._wrapped = wrapped
        self.compares_running = wrapped is not None and wrapped.compares_running
        self.compares_complete = wrapped is not None and wrapped.compares_complete

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """The steps of the wrapped pruner; without one, all at which patience can be at an end."""
        if self._wrapped is not None:
            return self._wrapped.schedule(place, n_steps)
        return strided_schedule(self._patience + 2, 1, n_steps)

    def decide(self, trial: History, others: Curves) -> Decision:
        """Compare the latest reports with those before."""
        values = [trial.values[step] for step in sorted(trial.values)]
        n_last = self._patience + 1
        if len(values) <= n_last:
            reason = f"step {trial.step}: {len(values)} reports, patient up to {n_last}"
            return Decision(action=Verdict.CONTINUE, reason=reason)
        before, after = self._best(values[:-n_last]), self._best(values[-n_last:])
        if not self._rank(before) + self._min_delta < self._rank(after):
            reason = f"step {trial.step}: the last {n_last} reports kept up with those before"
            return Decision(action=Verdict.CONTINUE, reason=reason)
        if self._wrapped is not None:
            return self._wrapped.decide(trial, others)
        reason = f"best {before:.4g}, not reached in the last {n_last} reports (best {after:.4g})"
        return Decision(action=Verdict.PRUNE, reason=f"step {trial.step}: {reason}")

    def _best(self, values: Sequence[float]) -> float:
        """NaN where there is nothing else: it compares as neither better nor worse."""
        known = (self._rank(value) for value in values if not math.isnan(value))
        return self._rank(min(known, default=math.nan))
