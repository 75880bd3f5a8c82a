"""Hyperband: successive halving with several first rungs side by side."""

from dataclasses import dataclass
from functools import lru_cache

from tuner.search.curves import Among, Curves
from tuner.search.history import History
from tuner.search.pruners.halving import halving_schedule, judge_rung
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.trial import Direction

_MAX_CYCLE = 10_000  # places after which the brackets repeat


class HyperbandPruner:
    """Trials are dealt to brackets; bracket s halves from rung min_resource * eta**s on.

    Source: Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar, "Hyperband: A Novel Bandit-Based
    Approach to Hyperparameter Optimization", JMLR 18, 2018, arXiv:1603.06560, in the asynchronous
    form of Optuna's `HyperbandPruner`: floor(log_eta(max_resource / min_resource)) + 1 = B
    brackets, of which bracket b gets a share of trials in proportion to ceil(B * eta**s / (s + 1)),
    s = B - 1 - b. Inside its bracket a trial is judged as by ASHA, against trials of the same
    bracket alone.

    Deliberate differences from Optuna's (5.0):

    - Places are dealt in turns (smooth weighted round robin), so that the shares hold exactly among
      the first trials too; Optuna draws the bracket by a hash of study name and number.
    - The number of brackets is computed in whole numbers: if the ratio is a power of eta, Optuna's
      logarithm may miss it by one.
    - `max_resource` defaults to the length of a trial; Optuna's "auto" waits for the first COMPLETE
      trial and prunes nothing until then.
    - The differences that `AshaPruner` lists for a single bracket; no `bootstrap_count`.
    """

    compares_running = True
    compares_complete = False

    def __init__(
        self, *, direction: Direction, min_resource: int, max_resource: int, reduction_factor: int
    ) -> None:
        self._direction = direction
        self._min_resource = min_resource
        self._eta = reduction_factor
        self.brackets = Brackets(
            min_resource=min_resource, max_resource=max_resource, reduction_factor=reduction_factor
        )

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """Return the rungs of the place's bracket below `n_steps`."""
        first = self._min_resource * self._eta ** self.brackets(place)
        return halving_schedule(first, self._eta, n_steps)

    def decide(self, trial: History, others: Curves) -> Decision:
        """Judge the trial at its latest report, among the trials of its bracket."""
        among = Among(partition=self.brackets, place=trial.place)
        schedule = self.schedule(trial.place, trial.n_steps)
        decision = judge_rung(trial, schedule, self._eta, self._direction, others, among)
        reason = f"bracket {self.brackets(trial.place)}, {decision.reason}"
        return Decision(action=decision.action, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Brackets:
    """The partition of places into brackets, from 0; two are equal if their numbers are."""

    min_resource: int
    max_resource: int
    reduction_factor: int

    def __call__(self, place: int) -> int:
        """Return the bracket of a place."""
        cycle = deal(self.weights())
        return cycle[place % len(cycle)]

    def weights(self) -> tuple[int, ...]:
        """Return the share of each bracket, as Optuna allocates them."""
        n = 1
        while self.min_resource * self.reduction_factor**n <= self.max_resource:
            n += 1
        shares = (-(-n * self.reduction_factor**s // (s + 1)) for s in range(n - 1, -1, -1))
        return tuple(shares)


@lru_cache(maxsize=64)
def deal(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return a cycle in which every index occurs as often as its weight, spread evenly.

    Smooth weighted round robin (as in nginx): in each turn every index gains its weight, and the
    one with the highest sum is chosen and pays the total. Weights with a long cycle are scaled
    down, at least to 1.
    """
    scale = max(1.0, sum(weights) / _MAX_CYCLE)
    shares = [max(1, round(weight / scale)) for weight in weights]
    total, purses, cycle = sum(shares), [0] * len(shares), []
    for _ in range(total):
        purses = [purse + share for purse, share in zip(purses, shares, strict=True)]
        turn = max(range(len(purses)), key=purses.__getitem__)
        purses[turn] -= total
        cycle.append(turn)
    return tuple(cycle)
