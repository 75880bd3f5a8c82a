"""Optuna's tree-structured Parzen estimator (TPE) on the mirror."""

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuner.search.mirror import Mirror, open_study
from tuner.space import fitting_params
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import Basis, Suggestion
from tuner.study.trial import Params, ParamValue

NOTHING_GIVEN: Params = MappingProxyType({})


class TpeSampler:
    """Proposes with a fresh, seeded `optuna.samplers.TPESampler` for every suggestion.

    Source: Watanabe, "Tree-Structured Parzen Estimator", 2023, arXiv:2304.11127, and Optuna 5.
    Nothing is remembered from call to call: a suggestion is a function of the mirror, the
    seed and its place in its batch.
    """

    def __init__(self, *, settings: Mapping[str, ParamValue]) -> None:
        self._settings = settings  # by Optuna's names

    def propose(
        self, mirror: Mirror, n: int, seed: int, given: Params = NOTHING_GIVEN
    ) -> Sequence[Suggestion]:
        """`n` suggestions, each of which sees those before it as running trials.

        `given` are params that are fixed already; the others are proposed. On
        `mirror.as_of(basis.highest, basis.open_numbers, basis.hidden)`, `propose(..., n, ...)`
        with n > basis.place gives the same suggestion again at that place.
        """
        trials = list(mirror.shown())
        highest = mirror.highest
        open_numbers = tuple(sorted(mirror.open_numbers))
        hidden = tuple(sorted(mirror.hidden_numbers))
        suggestions = []
        for place in range(n):
            params = self._suggest(mirror, trials, derive_seed(seed, "place", place), place, given)
            trials.append(mirror.running_trial(highest + 1 + place, params))
            basis = Basis(
                seed=seed, place=place, highest=highest, open_numbers=open_numbers, hidden=hidden
            )
            suggestions.append(Suggestion(params=params, basis=basis))
        return suggestions

    def _suggest(
        self, mirror: Mirror, trials: Sequence[FrozenTrial], seed: int, place: int, given: Params
    ) -> dict[str, ParamValue]:
        """The calls that `study.ask` and `trial.suggest_*` would make, without their storage."""
        sampler = self._build(seed)
        study = open_study(trials, mirror.direction, sampler)
        trial = mirror.running_trial(mirror.highest + 1 + place, {})
        fixed = fitting_params(given, mirror.distributions)
        inferred = sampler.infer_relative_search_space(
            open_study(_one_finished(trials), mirror.direction, sampler), trial
        )
        relative = {name: inferred[name] for name in inferred if name not in fixed}
        sampled = sampler.sample_relative(study, trial, relative)
        params: dict[str, ParamValue] = {}
        for name, distribution in mirror.distributions.items():
            if name in fixed:
                params[name] = fixed[name]
            elif distribution.single():
                params[name] = _only_value(distribution)
            else:
                value = (
                    sampled[name]
                    if name in sampled
                    else sampler.sample_independent(study, trial, name, distribution)
                )
                params[name] = _plain(distribution, value)
        return params

    def _build(self, seed: int) -> TPESampler:
        settings: dict[str, Any] = dict(self._settings)
        if not settings.get("group"):
            return TPESampler(**settings, seed=seed)
        with warnings.catch_warnings():
            # Whoever writes `group: true` has read about it; the agent's log need not repeat it.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(**settings, seed=seed)


def _one_finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """One trial stands for all when Optuna intersects their spaces: they share one.

    Comparing every distribution of every trial anew would cost more than the model.
    """
    finished = (OptunaState.COMPLETE, OptunaState.PRUNED)
    return next(([trial] for trial in trials if trial.state in finished), [])


def _only_value(distribution: BaseDistribution) -> ParamValue:
    if isinstance(distribution, CategoricalDistribution):
        choice: ParamValue = distribution.choices[0]
        return choice
    return _plain(distribution, distribution.low)  # type: ignore[attr-defined]


def _plain(distribution: BaseDistribution, value: Any) -> ParamValue:
    """The value in Python's own types (Optuna's may be NumPy's)."""
    internal = float(distribution.to_internal_repr(value))
    plain: ParamValue = distribution.to_external_repr(internal)
    return plain
