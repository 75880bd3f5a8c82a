"""A Gaussian process on the values at rungs."""

import numpy as np

from tuner.search.cube import Floats
from tuner.search.rung_process import Draws, RungProcess
from tuner.search.rung_table import Trials
from tuner.search.samplers.rungs import RANDOM_SHARE, Draw, RungSampler
from tuner.study.suggestion import SuggestedBy
from tuner.study_file.params.space import SearchSpace


class RungGpSampler(RungSampler):
    """Minimizes draws from a Gaussian process that learns from early values.

    The process has one observation per trial, running ones included: the value at the highest rung
    that it reached. Values of all rungs are ranked together, and the ranks become normal quantiles;
    a trial that diverged has the worst one. The rung is an input, so early values say something
    about late ones. A suggestion is the minimum of one joint draw from the posterior at full length
    (Thompson sampling: Kandasamy, Krishnamurthy, Schneider, Poczos, "Parallelised Bayesian
    Optimisation via Thompson Sampling", AISTATS 2018, arXiv:1705.09236). Suggestions made together
    come from separate draws, so they keep apart without pretended values for running trials.
    Candidates are uniform points and mutations of the trials with the best posterior mean. One
    trial in ten is drawn at random.
    """

    def __init__(self, *, space: SearchSpace, n_steps: int | None) -> None:
        super().__init__(space=space)
        self._process = RungProcess(self._cube, n_steps)

    def _open(self, trials: Trials, seed: int) -> Draw:
        draws = Draws(self._cube, self._process, trials, seed)

        def draw(
            running: Floats, led: Floats, rng: np.random.Generator
        ) -> tuple[Floats, SuggestedBy]:
            point = draws.draw(led, rng) if rng.random() >= RANDOM_SHARE else None
            if point is None:
                return self._cube.draw(rng, led), SuggestedBy.RANDOM
            return point, SuggestedBy.MODEL

        return draw
