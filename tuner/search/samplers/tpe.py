"""Optuna's tree-structured Parzen estimator (TPE) on the mirror."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from tuner.search.mirror import Mirror
from tuner.search.optuna_model import NOTHING_GIVEN, Model, propose_with
from tuner.study.suggestion import Suggestion
from tuner.study.trial import Direction, Params, ParamValue


class TpeSampler:
    """Proposes with a fresh, seeded `optuna.samplers.TPESampler` for every suggestion.

    Source: Watanabe, "Tree-Structured Parzen Estimator", 2023, arXiv:2304.11127, and Optuna 5.
    Params with conditions are modelled alone, or with `group: true` together with those that
    always come with them.
    """

    def __init__(self, *, settings: Mapping[str, ParamValue]) -> None:
        self._settings: dict[str, Any] = dict(settings)  # by Optuna's names

    def propose(
        self, mirror: Mirror, n: int, seed: int, given: Params = NOTHING_GIVEN
    ) -> Sequence[Suggestion]:
        """`n` suggestions, each of which sees those before it as running trials."""
        return propose_with(self._open, mirror, n, seed, given)

    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        if not self._settings.get("group"):
            return Model(sampler=TPESampler(**self._settings, seed=seed), trials=trials)
        with warnings.catch_warnings():
            # Whoever writes `group: true` has read about it; the agent's log need not repeat it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return Model(sampler=TPESampler(**self._settings, seed=seed), trials=trials)
