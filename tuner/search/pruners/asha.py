"""Asynchronous successive halving (ASHA)."""

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.pruners.halving import halving_schedule, judge_rung
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.trial import Direction


class AshaPruner:
    """At every rung the best 1/eta of the values seen so far continue.

    Source: Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht, Talwalkar, "A System for Massively
    Parallel Hyperparameter Tuning", MLSys 2020, arXiv:1810.05934, Algorithm 2, in the variant of
    Optuna's `SuccessiveHalvingPruner`, which stops trials instead of pausing them: a trial is
    judged once at each rung `min_resource * eta**k`, when it gets there, against the n values known
    there, its own included. It continues when it is among the best max(1, floor(n / eta)); ties
    continue.

    Deliberate differences from Optuna's `SuccessiveHalvingPruner` (5.0):

    - A rung is judged once, with the first report at or after it, as in Optuna; a report that
      reached several rungs is judged at the highest of them alone, where Optuna passes it through
      each in turn.
    - The decision is pure: a repeated call gives the same answer. Optuna's writes the rung into the
      trial and compares at the next rung in a repeated call.
    - No rung at the trial's last step (`schedule`): stopping there saves nothing and would turn a
      COMPLETE trial into a PRUNED one.
    - NaN and infinities are pruned at any step. Optuna prunes NaN from the first open rung on and
      ranks infinities like any value.
    - A trial counts once per rung, with the first value it reported there, so that a retried
      attempt does not compete with itself.
    - No `min_early_stopping_rate` (a larger `min_resource` is the same) and no `bootstrap_count`.
    - The defaults are `min_resource: 1` and `reduction_factor: 3`: in a replay of 3,420 searches
      Optuna's own (`"auto"`, 4), which starts later and prunes more, was among the worst.
    """

    compares_running = True
    compares_complete = False

    def __init__(self, *, direction: Direction, min_resource: int, reduction_factor: int) -> None:
        self._direction = direction
        self._min_resource = min_resource
        self._eta = reduction_factor

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """Return the rungs below `n_steps`; the same for every place (one bracket)."""
        return halving_schedule(self._min_resource, self._eta, n_steps)

    def decide(self, trial: History, others: Curves) -> Decision:
        """Judge the trial at its latest report; `others` may hold its own value there or not."""
        schedule = self.schedule(trial.place, trial.n_steps)
        return judge_rung(trial, schedule, self._eta, self._direction, others)
