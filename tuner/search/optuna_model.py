"""Optuna's samplers on the mirror: the common part of TPE, GP, CMA-ES and NSGA-II."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuner.search.batch import Answer, Question, propose_batch
from tuner.search.mirror import Mirror, open_study
from tuner.space import choose_params, fitting_params, only_value
from tuner.study.suggestion import Suggestion
from tuner.study.trial import Direction, Params, ParamValue


@dataclass(frozen=True, kw_only=True)
class Model:
    """A fresh Optuna sampler, and the content of its storage."""

    sampler: BaseSampler
    trials: Sequence[FrozenTrial]
    trial_attributes: Mapping[str, Any] = field(default_factory=dict)  # of the requested trial
    study_attributes: Mapping[str, Any] = field(default_factory=dict)


class OptunaSampler(ABC):
    """Proposes with a fresh Optuna sampler for every suggestion."""

    reads_rungs = False

    def __init__(self, *, settings: Mapping[str, ParamValue]) -> None:
        self._settings: dict[str, Any] = dict(settings)  # by Optuna's names

    def propose(
        self,
        mirror: Mirror,
        n: int,
        seed: int,
        shared: Collection[str] = (),
    ) -> Sequence[Suggestion]:
        """Return `n` suggestions, each of which sees those before it as running trials.

        The first one leads: the others have its values of the `shared` params.
        """

        def ask(question: Question) -> Answer:
            model = self._open(question.trials, mirror.direction, question.seed)
            return Answer(params=_ask(model, mirror, question.number, question.led))

        return propose_batch(ask, mirror, n, seed, shared)

    @abstractmethod
    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        """Return the model over these trials, for this direction, with this seed."""


def _ask(model: Model, mirror: Mirror, number: int, led: Params) -> dict[str, ParamValue]:
    """Make the calls of `study.ask` and `trial.suggest_*`, without their storage.

    Params that only some trials have lie outside the space that these share: Optuna draws them
    independently, when the objective asks for them. Here that is when their condition holds.
    """
    sampler = model.sampler
    study = open_study(model.trials, mirror.direction, sampler, model.study_attributes)
    trial = mirror.running_trial(number, {})
    trial.system_attrs.update(model.trial_attributes)
    fixed = fitting_params(led, mirror.distributions)
    inferred = sampler.infer_relative_search_space(
        open_study(_one_of_each_shape(model.trials), mirror.direction, sampler), trial
    )
    relative = {name: inferred[name] for name in inferred if name not in fixed}
    sampled = sampler.sample_relative(study, trial, relative)

    def choose(name: str, distribution: BaseDistribution) -> ParamValue:
        if name in fixed:
            return fixed[name]
        if distribution.single():
            return only_value(distribution)
        if name in sampled:
            return _plain(distribution, sampled[name])
        return _plain(distribution, sampler.sample_independent(study, trial, name, distribution))

    return choose_params(mirror.distributions, choose)


def _one_of_each_shape(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return one finished trial per set of param names, for Optuna's comparison of spaces.

    Comparing every distribution of every trial each time would cost more than the model.
    """
    finished = (OptunaState.COMPLETE, OptunaState.PRUNED)
    found: dict[tuple[OptunaState, int], FrozenTrial] = {}
    for trial in trials:
        if trial.state in finished:
            # All trials of a shape share one dictionary (`Mirror`).
            found.setdefault((trial.state, id(trial.distributions)), trial)
    return list(found.values())


def _plain(distribution: BaseDistribution, value: Any) -> ParamValue:
    """Return the value in Python's own types (Optuna's may be NumPy's)."""
    internal = float(distribution.to_internal_repr(value))
    plain: ParamValue = distribution.to_external_repr(internal)
    return plain
