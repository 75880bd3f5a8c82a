"""Optuna's tree-structured Parzen estimator (TPE) on the mirror."""

import heapq
import warnings
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import default_gamma
from optuna.trial import FrozenTrial

from tuner.search.mirror import ShownTrial
from tuner.search.optuna_model import Model, OptunaSampler
from tuner.study.trial import Direction


class TpeSampler(OptunaSampler):
    """Proposes with a fresh, seeded sampler for every suggestion, with the bits of Optuna's own.

    Source: Watanabe, "Tree-Structured Parzen Estimator", 2023, arXiv:2304.11127, and Optuna 5.
    Params with conditions are modelled alone, or with `group: true` together with those that always
    come with them.
    """

    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        if not self._settings.get("group"):
            return Model(sampler=_MirrorTpe(**self._settings, seed=seed), trials=trials)
        with warnings.catch_warnings():
            # A user who sets `group: true` has read about it; the agent's log need not repeat it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return Model(sampler=_MirrorTpe(**self._settings, seed=seed), trials=trials)


class _MirrorTpe(TPESampler):
    """Optuna's own, without the repeated work for every trial and suggestion.

    Most of its time went into splitting the trials and converting their params; a `ShownTrial` has
    both. Overrides `_sample` and `_get_internal_repr` of Optuna 5.0 (`pyproject.toml` allows no
    later version); a test compares the suggestions with stock ones.
    """

    def _sample(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        shown: Any = study.get_trials(deepcopy=False)  # `open_study` over the mirror's trials
        below, above = self._split(shown, trial.number)
        good = self._build_parzen_estimator(study, search_space, below, handle_below=True)
        bad = self._build_parzen_estimator(study, search_space, above, handle_below=False)
        candidates = good.sample(self._rng.rng, self._n_ei_candidates)
        gains = self._compute_acquisition_func(candidates, good, bad)
        chosen = TPESampler._compare(candidates, gains)
        return {name: d.to_external_repr(chosen[name]) for name, d in search_space.items()}

    def _split(
        self, shown: Sequence[ShownTrial], asked: int
    ) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        """Return the best finished trials, and all others, some running ones included."""
        finished = [trial for trial in shown if trial.badness is not None]
        n_below = (self._gamma or default_gamma)(len(finished))
        best = heapq.nsmallest(n_below, finished, key=attrgetter("badness"))
        numbers = {trial.number for trial in best}
        others = shown if self._constant_liar else finished
        return (
            sorted(best, key=attrgetter("number")),
            [trial for trial in others if trial.number not in numbers and trial.number != asked],
        )

    def _get_internal_repr(
        self,
        trials: Sequence[Any],
        search_space: dict[str, BaseDistribution],
        study: optuna.Study,
    ) -> dict[str, NDArray[Any]]:
        names = search_space.keys()
        rows = [trial.internal for trial in trials if names <= trial.internal.keys()]
        return {name: np.asarray([row[name] for row in rows]) for name in names}
