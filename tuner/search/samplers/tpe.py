"""Optuna's tree-structured Parzen estimator (TPE) on the mirror."""

import warnings
from collections.abc import Sequence

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from tuner.search.optuna_model import Model, OptunaSampler
from tuner.study.trial import Direction


class TpeSampler(OptunaSampler):
    """Proposes with a fresh, seeded `optuna.samplers.TPESampler` for every suggestion.

    Source: Watanabe, "Tree-Structured Parzen Estimator", 2023, arXiv:2304.11127, and Optuna 5.
    Params with conditions are modelled alone, or with `group: true` together with those that
    always come with them.
    """

    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        if not self._settings.get("group"):
            return Model(sampler=TPESampler(**self._settings, seed=seed), trials=trials)
        with warnings.catch_warnings():
            # Whoever writes `group: true` has read about it; the agent's log need not repeat it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return Model(sampler=TPESampler(**self._settings, seed=seed), trials=trials)
