"""Optuna's genetic algorithm (NSGA-II) on the mirror."""

import heapq
from collections.abc import Sequence

from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuner.search.optuna_model import Model, OptunaSampler
from tuner.study.trial import Direction


class Nsga2Sampler(OptunaSampler):
    """Proposes children of the best COMPLETE trials, with a fresh, seeded `NSGAIISampler`.

    Source: Deb, Pratap, Agarwal, Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", IEEE Trans. Evol. Comput. 2002, and Optuna 5. With one objective its elite is simply
    the best: the parents of generation g are the best `population_size` trials of all generations
    before it; trials still running have no children. The first generation is random, and so are
    params that not all COMPLETE trials have.

    Deliberate difference from Optuna's: generations are counted off the COMPLETE trials by number,
    `population_size` each. Optuna writes a trial's generation into its record when it is asked for,
    and the parents as database ids into the study, where machines overwrite each other.
    """

    def _open(self, trials: Sequence[FrozenTrial], direction: Direction, seed: int) -> Model:
        sampler = NSGAIISampler(**self._settings, seed=seed)
        size: int = self._settings["population_size"]
        complete = [trial for trial in trials if trial.state is OptunaState.COMPLETE]
        generation = len(complete) // size
        ancestors = complete[: generation * size]

        def rank(trial: FrozenTrial) -> tuple[float, int]:
            assert trial.value is not None
            return direction.rank(trial.value), trial.number

        parents = heapq.nsmallest(size, ancestors, key=rank)
        # What `get_trial_generation` and `get_parent_population` look for.
        generation_key = sampler._get_generation_key()
        parents_key = f"{sampler._get_parent_cache_key_prefix()}{generation}"
        return Model(
            sampler=sampler,
            trials=trials,
            trial_attributes={generation_key: generation},
            study_attributes={parents_key: [trial._trial_id for trial in parents]},
        )
