"""Optuna's covariance matrix adaptation (CMA-ES) on the mirror."""

import warnings
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import CmaEsSampler as OptunasCmaEsSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from tuner.search.optuna_model import Model, OptunaSampler
from tuner.study.trial import Direction


class CmaesSampler(OptunaSampler):
    """Proposes with an optimizer that replays all COMPLETE trials for every suggestion.

    Source: Hansen, "The CMA Evolution Strategy: A Tutorial", 2016, arXiv:1604.00772, and Optuna 5
    with the package `cmaes`. Choices, constants and params with conditions are drawn at random, as
    Optuna does.

    Deliberate difference from Optuna's: generations are counted off the COMPLETE trials by number,
    `popsize` each, and passed to a fresh optimizer. Optuna pickles the optimizer into the record,
    where every reader unpickles it, and gives it only trials that it had suggested; here trials of
    all machines count, including enqueued ones (as "injected solutions": Hansen, 2011,
    arXiv:1110.4181), one generation late when many run at once.
    """

    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        with warnings.catch_warnings():
            # A user who sets `consider_pruned_trials` has read about it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = _Retold(**self._settings, seed=seed, warn_independent_sampling=False)
        return Model(sampler=sampler, trials=trials)


class _Retold(OptunasCmaEsSampler):
    """Replays all generations to a fresh optimizer instead of restoring a pickled one."""

    _told: Sequence[FrozenTrial] = ()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if len(search_space) < 2:  # the optimizer refuses a single dimension
            return {}
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> None:
        self._told = completed_trials

    def _get_solution_trials(self, trials: list[FrozenTrial], generation: int) -> list[FrozenTrial]:
        return []

    def _init_optimizer(self, trans: Any, direction: StudyDirection) -> Any:
        optimizer = super()._init_optimizer(trans, direction)
        sign = 1.0 if direction is StudyDirection.MINIMIZE else -1.0
        solutions = [
            (trans.transform(trial.params), sign * trial.value)
            for trial in self._told
            if trial.value is not None and trans._search_space.keys() <= trial.params.keys()
        ]
        size = optimizer.population_size
        for start in range(0, len(solutions) - size + 1, size):
            optimizer.tell(solutions[start : start + size])
        return optimizer
