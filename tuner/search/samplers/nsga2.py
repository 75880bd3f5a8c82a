"""Optuna's genetic algorithm (NSGA-II) on the mirror."""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuner.search.mirror import Mirror
from tuner.search.optuna_model import NOTHING_GIVEN, Model, propose_with
from tuner.study.suggestion import Suggestion
from tuner.study.trial import Direction, Params, ParamValue


class Nsga2Sampler:
    """Proposes children of the best COMPLETE trials, with a fresh, seeded `NSGAIISampler`.

    Source: Deb, Pratap, Agarwal, Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", IEEE Trans. Evol. Comput. 2002, and Optuna 5. With one objective its elite is simply
    the best: the parents of generation g are the best `population_size` trials of all generations
    before it. The first generation is random, and so are params that not all COMPLETE trials have.

    Deliberate difference from Optuna's: generations are counted off the COMPLETE trials by number,
    `population_size` each. Optuna writes a trial's generation into its record when it is asked for,
    and the parents as database ids into the study, where machines overwrite each other.
    """

    def __init__(self, *, settings: Mapping[str, ParamValue]) -> None:
        self._settings: dict[str, Any] = dict(settings)  # by Optuna's names
        self._population_size: int = self._settings["population_size"]

    def propose(
        self, mirror: Mirror, n: int, seed: int, given: Params = NOTHING_GIVEN
    ) -> Sequence[Suggestion]:
        """`n` suggestions; trials still running have no children."""
        return propose_with(self._open, mirror, n, seed, given)

    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        sampler = NSGAIISampler(**self._settings, seed=seed)
        complete = [trial for trial in trials if trial.state is OptunaState.COMPLETE]
        generation = len(complete) // self._population_size
        ancestors = complete[: generation * self._population_size]
        sign = 1.0 if direction is Direction.MINIMIZE else -1.0

        def rank(trial: FrozenTrial) -> tuple[float, int]:
            assert trial.value is not None
            return sign * trial.value, trial.number

        parents = heapq.nsmallest(self._population_size, ancestors, key=rank)
        # What `get_trial_generation` and `get_parent_population` look for.
        generation_key = sampler._get_generation_key()
        parents_key = f"{sampler._get_parent_cache_key_prefix()}{generation}"
        return Model(
            sampler=sampler,
            trials=trials,
            trial_attributes={generation_key: generation},
            study_attributes={parents_key: [trial._trial_id for trial in parents]},
        )
