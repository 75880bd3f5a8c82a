"""Beliefs of the user about good values, next to the record."""

import math
from collections.abc import Mapping

import numpy as np

from tuner.search.cube import Axis, Cube, Floats
from tuner.search.rung_table import Trials, split_trials
from tuner.study_file.params.space import Near, SearchSpace

_FIRST_SHARE = 0.5  # of the suggestions, while the record says nothing
_SPREAD = 0.15  # standard deviation around a value, as a part of its range
_MIN_SPREAD = 0.02  # around a range, whose half width it is otherwise
_FEW_LEVELS = 1000  # with more, steps are drawn like a continuous range
_OTHER_SHARE = 0.2  # of an unordered choice: the probability of all values, the believed one too


class Beliefs:
    """Draws some suggestions around the values that the user named.

    Source: the sampler of PriorBand (Mallik, Bergman, Hvarfner, Stoll, Janowski, Lindauer, Nardi,
    Hutter, "PriorBand: Practical Hyperparameter Optimization in the Age of Deep Learning", NeurIPS
    2023, arXiv:2306.12370). The share of such suggestions is a half until some trials can be called
    good. Then the belief competes with the neighbourhood of the best trial: the more of the good
    trials' weight it explains, the larger its share. Params without a belief keep the value that
    the model suggested.
    """

    def __init__(self, cube: Cube, space: SearchSpace) -> None:
        self._cube = cube
        self._near = {
            name: near
            for name, given in space.items()
            if (near := given.near) is not None and name in cube.axes
        }

    def share(self, trials: Trials) -> float:
        """Return which part of the suggestions is drawn around the beliefs."""
        if not self._near:
            return 0.0
        split = split_trials(trials)
        if split is None:
            return _FIRST_SHARE
        points = trials.points[split.by_rank]
        weights = np.arange(len(points), 0, -1)
        belief = float(weights @ self._densities(points, self._centres()))
        best = {
            name: (float(x), _SPREAD)
            for name in self._near
            if not math.isnan(x := points[0, self._cube.places[name]])
        }
        incumbent = float(weights[1:] @ self._densities(points[1:], best))
        total = belief + incumbent
        return _FIRST_SHARE * belief / total if total > 0 else 0.0

    def redraw(self, point: Floats, led: Floats, rng: np.random.Generator) -> Floats:
        """Return the point with new coordinates of the params with a belief, except led ones."""
        moved = np.where(np.isnan(point), rng.random(len(point)), point)
        for name, (centre, spread) in self._centres().items():
            place = self._cube.places[name]
            moved[place] = _draw(self._cube.axes[name], centre, spread, rng)
        return np.asarray(self._cube.settle(self._cube.lead(moved[None], led))[0])

    def _centres(self) -> Mapping[str, tuple[float, float]]:
        return {
            name: self._centre(self._cube.axes[name], near) for name, near in self._near.items()
        }

    def _centre(self, axis: Axis, near: Near) -> tuple[float, float]:
        """Return the middle and the spread of a belief on its axis."""
        ends = [axis.encode(value) for value in near.values]
        if len(ends) == 1:
            return ends[0], _SPREAD
        return sum(ends) / 2, max((ends[1] - ends[0]) / 2, _MIN_SPREAD)

    def _densities(self, points: Floats, centres: Mapping[str, tuple[float, float]]) -> Floats:
        """Return the density of each point (n,); a param that does not apply says nothing."""
        found = np.ones(len(points))
        for name, (centre, spread) in centres.items():
            x = points[:, self._cube.places[name]]
            density = _density(self._cube.axes[name], centre, spread, x)
            found *= np.where(np.isnan(x), 1.0, density)
        return found


def _draw(axis: Axis, centre: float, spread: float, rng: np.random.Generator) -> float:
    """Draw a coordinate around a centre."""
    levels = _levels(axis)
    if levels is not None:
        return float(rng.choice(levels, p=_level_weights(axis, centre, spread, levels)))
    while True:
        x = centre + spread * rng.standard_normal()
        if 0 <= x <= 1:
            return float(x)


def _density(axis: Axis, centre: float, spread: float, x: Floats) -> Floats:
    """Return the density of `_draw`; of levels, relative to equal weights of all."""
    levels = _levels(axis)
    if levels is not None:
        weights = _level_weights(axis, centre, spread, levels)
        index = np.nan_to_num(np.round(x * (len(levels) - 1))).astype(int)
        return np.asarray(weights[index] * len(levels))
    inside = 0.5 * (
        math.erf((1 - centre) / spread / math.sqrt(2)) + math.erf(centre / spread / math.sqrt(2))
    )
    height = 1 / (spread * math.sqrt(2 * math.pi) * inside)
    return np.asarray(height * np.exp(-0.5 * ((x - centre) / spread) ** 2))


def _levels(axis: Axis) -> Floats | None:
    """Return the coordinates of all values; None if there are many."""
    if axis.n_levels is None or axis.n_levels > _FEW_LEVELS:
        return None
    return np.linspace(0, 1, axis.n_levels)


def _level_weights(axis: Axis, centre: float, spread: float, levels: Floats) -> Floats:
    if axis.is_ordered:
        weights = np.exp(-0.5 * ((levels - centre) / spread) ** 2)
        # Neighbours stay possible, however few levels there are.
        weights = weights / weights.sum() * (1 - _OTHER_SHARE) + _OTHER_SHARE / len(levels)
    else:
        weights = (np.abs(levels - centre) < 1e-9) * (1 - _OTHER_SHARE) + _OTHER_SHARE / len(levels)
    return np.asarray(weights / weights.sum())
