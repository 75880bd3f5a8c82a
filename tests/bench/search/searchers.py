"""Who suggests and decides: tuner by the rules of its agents, or stock Optuna."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.search.catalog import build_pruner, build_sampler
from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler
from tuner.space import choose_params, to_distributions
from tuner.study.report import RungValue
from tuner.study.schedule import MODEL_RUNGS, NO_RUNGS, Schedule
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import Suggestion
from tuner.study.trial import Params, ParamValue, TrialRecord, TrialState
from tuner.study.verdict import Outcome, Verdict
from tuner.study_file.model import StudySpec

# An agent claims at once for a worker without a trial, and if a quarter of the lanes in training
# are free; otherwise after 0.05 s (`agent/rules/places.py`), which are about so many turns here.
FEW = 4
FILL_TURNS = 5


class Searcher(Protocol):
    """One search: it suggests params and judges reports."""

    def n_wanted(self, n_free: int, n_training: int) -> int:
        """Return how many trials to begin now; asked once per turn."""

    def suggest(self, n: int) -> Sequence[Suggestion]:
        """Return the next trials, whose numbers follow each other."""

    def report(self, number: int, step: int, value: float) -> Verdict:
        """Take in a trial's value at a step, and judge the trial."""

    def end(self, number: int, how: Outcome, value: float | None) -> None:
        """Take in the end of a trial, and its value if it is COMPLETE."""


@dataclass(kw_only=True)
class _Trial:
    params: Params
    schedule: Schedule
    values: dict[int, float] = field(default_factory=dict)

    @property
    def last_step(self) -> int | None:
        return max(self.values, default=None)


class TunerSearcher:
    """tuner's own samplers, pruners and record, with the rules of an agent, without a database."""

    def __init__(self, spec: StudySpec, *, compares_best: bool = False) -> None:
        """`compares_best`: at a rung, the pruner compares the best value so far, not the last."""
        self._spec = spec
        self._compares_best = compares_best
        self._sampler = build_sampler(spec)
        self._pruner = build_pruner(spec)
        assert not self._pruner.compares_complete, "values of COMPLETE trials are not passed on"
        self._mirror = Mirror(to_distributions(spec.search_space), spec.direction)
        self._curves = Curves()
        reads_rungs = not isinstance(self._sampler, DrawSampler) and self._sampler.reads_rungs
        self._model_rungs = MODEL_RUNGS if reads_rungs else NO_RUNGS
        self._trials: list[_Trial] = []
        self._n_proposed = 0
        self._n_waited = 0

    def n_wanted(self, n_free: int, n_training: int) -> int:
        """Return all free lanes when an agent would claim, so that trials can share a group."""
        if not n_free:
            self._n_waited = 0
            return 0
        self._n_waited += 1
        is_urgent = not n_training or n_free * FEW >= n_training
        return n_free if is_urgent or self._n_waited > FILL_TURNS else 0

    def suggest(self, n: int) -> Sequence[Suggestion]:
        self._n_waited = 0
        first = len(self._trials)
        if isinstance(self._sampler, DrawSampler):
            suggestions = [self._sampler.suggest(draw) for draw in range(first, first + n)]
        else:
            seed = derive_seed(self._spec.seed, "suggestion", 0, self._n_proposed)
            self._n_proposed += 1
            shared = self._spec.structural_params
            suggestions = list(self._sampler.propose(self._mirror, n, seed, shared=shared))
        for number, suggestion in enumerate(suggestions, first):
            schedule = self._pruner.schedule(number, self._spec.n_steps)
            self._trials.append(_Trial(params=suggestion.params, schedule=schedule))
            self._learn(number, TrialState.RUNNING)
        return suggestions

    def report(self, number: int, step: int, value: float) -> Verdict:
        """Judge at a rung, as `agent/rules/pruning.py` does; never at the last step."""
        trial = self._trials[number]
        before = trial.last_step or 0
        trial.values[step] = value
        if not math.isfinite(value):
            return Verdict.CONTINUE  # the trainer ends it

        def at(rungs: Iterable[int], value: float) -> list[RungValue]:
            return [RungValue(step=r, number=number, value=value, place=number) for r in rungs]

        values = dict(trial.values)
        if self._compares_best:
            values = dict(zip(values, itertools.accumulate(values.values(), min), strict=True))
        reached = trial.schedule.reached(before, step)
        self._curves.add(at(reached, values[step]))
        self._mirror.update_rungs(at(self._model_rungs.reached(before, step), value))
        if not reached or step == self._spec.n_steps:
            return Verdict.CONTINUE
        history = History(number=number, place=number, values=values, n_steps=self._spec.n_steps)
        return self._pruner.decide(history, self._curves).action

    def end(self, number: int, how: Outcome, value: float | None) -> None:
        states = {Outcome.COMPLETE: TrialState.COMPLETE, Outcome.PRUNED: TrialState.PRUNED}
        self._learn(number, states.get(how, TrialState.FAIL), value)

    def _learn(self, number: int, state: TrialState, value: float | None = None) -> None:
        """Tell the sampler, as `agent/rules/ends.py` does."""
        trial = self._trials[number]
        step = trial.last_step
        is_pruned = state is TrialState.PRUNED and step is not None
        self._mirror.update(
            [
                TrialRecord(
                    number=number,
                    state=state,
                    params=trial.params,
                    value=value,
                    last_step=None if state is TrialState.FAIL else step,
                    last_value=trial.values[step] if is_pruned and step is not None else None,
                    diverged=state is TrialState.FAIL,
                )
            ]
        )


class StockSearcher:
    """`study.ask` for every free lane, `report` and `should_prune` at every epoch, `study.tell`."""

    def __init__(self, spec: StudySpec) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = to_distributions(spec.search_space)
        self._study = optuna.create_study(
            direction=spec.direction.value,
            sampler=optuna.samplers.TPESampler(seed=derive_seed(spec.seed, "stock")),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        )
        self._trials: list[optuna.Trial] = []

    def n_wanted(self, n_free: int, n_training: int) -> int:
        return n_free

    def suggest(self, n: int) -> Sequence[Suggestion]:
        first = len(self._trials)
        for _ in range(n):
            self._trials.append(self._study.ask())
        return [
            Suggestion(params=choose_params(self._distributions, partial(_suggest, trial)))
            for trial in self._trials[first:]
        ]

    def report(self, number: int, step: int, value: float) -> Verdict:
        """Ask at the last step, too, as the usual loop does: that is a rung of Optuna's."""
        self._trials[number].report(value, step)
        is_pruned = self._trials[number].should_prune()
        return Verdict.PRUNE if is_pruned else Verdict.CONTINUE

    def end(self, number: int, how: Outcome, value: float | None) -> None:
        trial = self._trials[number]
        if how is Outcome.COMPLETE and value is not None and not math.isnan(value):
            self._study.tell(trial, value)
        else:  # the pruner ends a trial whose loss is not a number
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> ParamValue:
    match distribution:
        case CategoricalDistribution():
            value: ParamValue = trial.suggest_categorical(name, distribution.choices)
            return value
        case IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high)
        case FloatDistribution():
            low, high = distribution.low, distribution.high
            return trial.suggest_float(name, low, high, log=distribution.log)
    raise ValueError(f"no suggestion for {distribution!r}")
