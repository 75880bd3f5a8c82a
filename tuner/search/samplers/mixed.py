"""Rung TPE and a Gaussian process over rungs, in turns by chance."""

import numpy as np

from tuner.search.cube import Floats
from tuner.search.rung_table import Trials
from tuner.search.samplers.rung_gp import RungGpSampler
from tuner.search.samplers.rung_tpe import RungTpe
from tuner.search.samplers.rungs import Draw
from tuner.study.suggestion import SuggestedBy
from tuner.study_file.params.space import SearchSpace


class MixedSampler(RungGpSampler):
    """Each suggestion comes from `rung_gp` or from `rung_tpe`, by a fair coin."""

    def __init__(self, *, space: SearchSpace, n_steps: int | None) -> None:
        super().__init__(space=space, n_steps=n_steps)
        self._tpe = RungTpe(self._cube)

    def _open(self, trials: Trials, seed: int) -> Draw:
        draw_of_process = super()._open(trials, seed)

        def draw(
            running: Floats, led: Floats, rng: np.random.Generator
        ) -> tuple[Floats, SuggestedBy]:
            if rng.random() < 0.5:
                return self._tpe.draw(trials, running, led, rng)
            return draw_of_process(running, led, rng)

        return draw
