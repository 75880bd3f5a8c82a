"""Optuna's Gaussian process (GP) on the mirror."""

import heapq
import warnings
from collections.abc import Sequence

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GPSampler as OptunasGPSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuner.search.optuna_model import Model, OptunaSampler
from tuner.study.trial import Direction

# The cost of a suggestion grows with the third power of the trials that it uses; from here on
# it would take longer than a short trial.
MAX_TRIALS = 300


class GpSampler(OptunaSampler):
    """Proposes with a fresh, seeded `optuna.samplers.GPSampler` for every suggestion.

    Source: Optuna 5 (Matern 5/2 kernel with automatic relevance, log expected improvement). It uses
    running trials, but not pruned ones. Params that not all COMPLETE trials have are drawn at
    random. Deliberate differences from Optuna's: of more than `MAX_TRIALS` COMPLETE trials it uses
    the best half and the latest half; kernel parameters are fitted from scratch, so that nothing
    depends on earlier suggestions.
    """

    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = OptunasGPSampler(**self._settings, seed=seed, warn_independent_sampling=False)
        return Model(sampler=sampler, trials=_most_telling(trials, direction))


def _most_telling(trials: Sequence[FrozenTrial], direction: Direction) -> Sequence[FrozenTrial]:
    """Return all trials, or the best and the latest of the COMPLETE ones; in their order."""
    complete = [trial for trial in trials if trial.state is OptunaState.COMPLETE]
    if len(complete) <= MAX_TRIALS:
        return trials

    def rank(trial: FrozenTrial) -> float:
        assert trial.value is not None
        return direction.rank(trial.value)

    latest = complete[-(MAX_TRIALS // 2) :]
    best = heapq.nsmallest(MAX_TRIALS // 2, complete[: -len(latest)], key=rank)
    kept = {trial.number for trial in (*best, *latest)}
    return [t for t in trials if t.state is not OptunaState.COMPLETE or t.number in kept]
