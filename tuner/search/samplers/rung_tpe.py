"""TPE on the values at rungs."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

from tuner.search.cube import Axis, Cube, Floats
from tuner.search.rung_table import Trials, split_trials
from tuner.search.samplers.rungs import RANDOM_SHARE, Draw, RungSampler
from tuner.study.suggestion import SuggestedBy
from tuner.study_file.params.space import SearchSpace

_N_CANDIDATES = 24
_MAX_BAD = 500  # the latest ones: more cost time and say little more
_PARZEN = _ParzenEstimatorParameters(
    prior_weight=1.0,
    consider_magic_clip=True,
    consider_endpoints=False,
    weights=default_weights,
    multivariate=True,
)


class RungTpeSampler(RungSampler):
    """Draws params like those of the best trials at the highest rung that has enough values.

    Source: the model of BOHB (Falkner, Klein, Hutter, "BOHB: Robust and Efficient Hyperparameter
    Optimization at Scale", ICML 2018, arXiv:1807.01774), without its brackets and their waiting:
    one trial in ten is drawn at random. Otherwise the best tenth (3 to 25) of the values at the
    highest rung with 11 values or more are the good trials, and all others the bad ones, those that
    run, were pruned below or diverged included. Optuna's multivariate Parzen estimators are fitted
    to both, and of 24 draws of the good one that with the largest ratio of densities is suggested.

    Deliberate differences from BOHB: Optuna's estimators instead of kernels with one bandwidth;
    numeric choices are ordered; params with conditions are drawn one by one, after the others.
    """

    def __init__(self, *, space: SearchSpace) -> None:
        super().__init__(space=space)
        self._model = RungTpe(self._cube)

    def _open(self, trials: Trials, seed: int) -> Draw:
        return partial(self._model.draw, trials)


class RungTpe:
    """The model: points of a cube, from trials."""

    def __init__(self, cube: Cube) -> None:
        self._cube = cube
        self._spaces = {name: _parzen_space(axis) for name, axis in cube.axes.items()}

    def draw(
        self, trials: Trials, running: Floats, led: Floats, rng: np.random.Generator
    ) -> tuple[Floats, SuggestedBy]:
        """Draw a point with the coordinates of `led` that are not NaN."""
        split = split_trials(trials)
        if rng.random() < RANDOM_SHARE or split is None:
            return self._cube.draw(rng, led), SuggestedBy.RANDOM
        below = trials.points[np.sort(split.by_rank)]
        above = np.concatenate([trials.points[split.bad], running])[-_MAX_BAD:]
        state = np.random.RandomState(int(rng.integers(2**32)))
        point = np.full(len(self._cube.axes), math.nan)
        for names in self._cube.blocks:
            free = [n for n in names if self._cube.applies_at(n, point)]
            for name in free:
                point[self._cube.places[name]] = led[self._cube.places[name]]
            wanted = [n for n in free if math.isnan(point[self._cube.places[n]])]
            if wanted:
                self._fill(point, wanted, below, above, state)
        return point, SuggestedBy.MODEL

    def _fill(
        self,
        point: Floats,
        names: Sequence[str],
        below: Floats,
        above: Floats,
        state: np.random.RandomState,
    ) -> None:
        space = {name: self._spaces[name] for name in names}
        good, bad = (self._estimator(space, points) for points in (below, above))
        candidates = good.sample(state, _N_CANDIDATES)
        gains = good.log_pdf(candidates) - bad.log_pdf(candidates)
        best = int(np.argmax(gains))
        for name in names:
            n = self._cube.axes[name].n_levels
            point[self._cube.places[name]] = candidates[name][best] / (n - 1 if n else 1)

    def _estimator(self, space: Mapping[str, BaseDistribution], points: Floats) -> _ParzenEstimator:
        places = [self._cube.places[name] for name in space]
        have_all = points[~np.isnan(points[:, places]).any(axis=1)]
        columns = {}
        for name, place in zip(space, places, strict=True):
            n = self._cube.axes[name].n_levels
            columns[name] = np.round(have_all[:, place] * (n - 1)) if n else have_all[:, place]
        return _ParzenEstimator(columns, dict(space), _PARZEN)


def _parzen_space(axis: Axis) -> BaseDistribution:
    if axis.n_levels is None:
        return FloatDistribution(0.0, 1.0)
    if axis.is_ordered:
        return IntDistribution(0, axis.n_levels - 1)
    return CategoricalDistribution(tuple(range(axis.n_levels)))
