"""A Gaussian process over rungs, and joint draws from it."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuner.search.cube import Cube, Floats
from tuner.search.rung_table import FULL, Trials
from tuner.study.seeds import derive_seed
from tuner.study_file.algorithms.reading import FIRST_MODEL

if TYPE_CHECKING:
    from tuner.search.gaussian_process import Joint, Kernel, Posterior

_NORMAL = NormalDist()
_MIN_OBSERVATIONS = FIRST_MODEL["rung_gp"]
_MAX_OBSERVATIONS = 350
_MAX_FITTED = 150  # observations for the kernel
_GROWTH = 1.4  # of the number of final trials, from one fit of the kernel to the next
_N_UNIFORM, _N_MUTATED, _N_PARENTS = 200, 200, 15
_MUTATED_SHARE, _MUTATION = 0.4, 0.15  # of the coordinates; their standard deviation


@dataclass(frozen=True, kw_only=True)
class _Observations:
    features: Floats  # (n, f), the rung last
    y: Floats  # (n,)


class RungProcess:
    """Fits the process to trials; keeps the kernels of the data that it has seen last."""

    def __init__(self, cube: Cube, n_steps: int | None) -> None:
        self._cube = cube
        self._n_steps = n_steps
        self._fitted: tuple[bytes, Kernel] | None = None

    def open(self, trials: Trials) -> "OpenProcess | None":
        """Return the posterior over these trials; None while there are too few."""
        has_value = (trials.rung > 0) | trials.diverged
        if has_value.sum() < _MIN_OBSERVATIONS:
            return None
        chosen = _most_telling(trials, np.flatnonzero(has_value))
        axes = self.features(trials.points[:1], np.zeros(1))[1]
        observed = self._observe(trials, chosen)
        kernel = self._kernel(trials, axes)
        from tuner.search.gaussian_process import Posterior  # noqa: PLC0415 - loads SciPy, 0.3 s

        posterior = Posterior(kernel, observed.features, observed.y, axes)
        return OpenProcess(process=self, trials=trials, posterior=posterior, rows=chosen)

    def features(self, points: Floats, t: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Return the inputs at points with their rungs from 0 to 1, and the axis of each input."""
        matrix, axes = self._cube.features(points)
        return np.column_stack([matrix, t]), np.append(axes, len(self._cube.axes))

    def _observe(self, trials: Trials, rows: NDArray[np.int64]) -> _Observations:
        values = np.where(trials.diverged[rows], math.inf, trials.value[rows])
        order = np.argsort(values, kind="stable")
        ranks = np.empty(len(rows))
        ranks[order] = np.arange(len(rows))
        # Equal values have equal ranks: the mean of theirs.
        _, which = np.unique(values, return_inverse=True)
        ranks = (np.bincount(which, ranks) / np.bincount(which))[which]
        y = np.array([_NORMAL.inv_cdf(rank) for rank in (ranks + 0.5) / len(rows)])
        features, _ = self.features(trials.points[rows], self._times(trials, rows))
        return _Observations(features=features, y=y)

    def _times(self, trials: Trials, rows: NDArray[np.int64]) -> Floats:
        """Return the rungs as parts of the way to the full length, on a logarithmic scale."""
        steps = [rung for rung in trials.at if rung < FULL]
        length = max([self._n_steps or 1, *steps, 2])
        t = np.log(np.maximum(trials.rung[rows], 1)) / math.log(length)
        is_full = (trials.rung[rows] == FULL) | trials.diverged[rows]
        return np.asarray(np.where(is_full, 1.0, np.minimum(t, 1.0)))

    def _kernel(self, trials: Trials, axes: NDArray[np.int64]) -> "Kernel":
        """Return the kernel of the first trials: their number grows in steps, so fits are rare."""
        usable = np.flatnonzero(trials.is_final)
        if len(usable) < _MIN_OBSERVATIONS:
            usable = np.flatnonzero((trials.rung > 0) | trials.diverged)
        n = float(_MIN_OBSERVATIONS)
        while n * _GROWTH <= len(usable):
            n *= _GROWTH
        rows = _thinned(usable[: int(n)])
        observed = self._observe(trials, rows)
        key = observed.features.tobytes() + observed.y.tobytes()
        if self._fitted is None or self._fitted[0] != key:
            from tuner.search.gaussian_process import fit_kernel  # noqa: PLC0415 - loads SciPy

            self._fitted = (key, fit_kernel(observed.features, observed.y, axes))
        return self._fitted[1]


def _thinned(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most `_MAX_FITTED` rows, evenly over all."""
    if len(rows) <= _MAX_FITTED:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, _MAX_FITTED).astype(int)])


def _most_telling(trials: Trials, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows, or the best half of the limit at the highest rungs and the latest half."""
    if len(rows) <= _MAX_OBSERVATIONS:
        return rows
    half = _MAX_OBSERVATIONS // 2
    order = np.lexsort((trials.value[rows[:-half]], -trials.rung[rows[:-half]]))
    return np.sort(np.concatenate([rows[:-half][order[:half]], rows[-half:]]))


@dataclass(frozen=True, kw_only=True)
class OpenProcess:
    """The posterior over the trials of one record."""

    process: RungProcess
    trials: Trials
    posterior: "Posterior"
    rows: NDArray[np.int64]  # of the trials observed

    def at_full_length(self, points: Floats) -> Floats:
        return self.process.features(points, np.ones(len(points)))[0]

    def best(self, n: int) -> Floats:
        """Return the `n` points of trials with the best posterior mean at full length."""
        points = self.trials.points[self.rows]
        means = self.posterior.mean(self.at_full_length(points))
        return points[np.argsort(means, kind="stable")[:n]]


class Draws:
    """Joint draws for a batch: of its leader, and of those that share the leader's values."""

    def __init__(self, cube: Cube, process: RungProcess, trials: Trials, seed: int) -> None:
        self._cube = cube
        self._process = process
        self._trials = trials
        self._seed = seed
        self._opened: OpenProcess | None = None
        self._is_opened = False
        self._joints: dict[bytes, tuple[Floats, Joint]] = {}
        self._taken: dict[bytes, set[int]] = {}

    def draw(self, led: Floats, rng: np.random.Generator) -> Floats | None:
        """Return the minimum of a draw that is not yet taken; None without a model."""
        if not self._is_opened:
            self._opened, self._is_opened = self._process.open(self._trials), True
        if self._opened is None or not self._cube.axes:
            return None
        key = led.tobytes()
        if key not in self._joints:
            points = self._candidates(self._opened, led)
            joint = self._opened.posterior.joint(self._opened.at_full_length(points))
            self._joints[key] = points, joint
        points, joint = self._joints[key]
        taken = self._taken.setdefault(key, set())
        for index in np.argsort(joint.draw(rng), kind="stable"):
            if int(index) not in taken:
                taken.add(int(index))
                return np.asarray(points[index])
        return None

    def _candidates(self, opened: OpenProcess, led: Floats) -> Floats:
        """Return distinct points, without those of known trials, as long as there are any."""
        rng = np.random.Generator(np.random.PCG64(derive_seed(self._seed, "candidates")))
        uniform = self._cube.draw_many(rng, led, _N_UNIFORM)
        parents = opened.best(_N_PARENTS)
        chosen = parents[rng.integers(len(parents), size=_N_MUTATED)]
        mutated = self._cube.settle(self._cube.lead(self._mutate(chosen, rng), led))
        points = np.concatenate([uniform, mutated])
        _, first = np.unique(np.nan_to_num(points, nan=-1), axis=0, return_index=True)
        points = points[np.sort(first)]
        known = {row.tobytes() for row in np.nan_to_num(self._trials.points, nan=-1)}
        fresh = [row.tobytes() not in known for row in np.nan_to_num(points, nan=-1)]
        return points[np.array(fresh)] if any(fresh) else points

    def _mutate(self, points: Floats, rng: np.random.Generator) -> Floats:
        """Return the points with some coordinates moved or drawn afresh."""
        shape = points.shape
        moved = np.where(np.isnan(points), rng.random(shape), points)
        moved = np.clip(moved + _MUTATION * rng.standard_normal(shape), 0.0, 1.0)
        fresh = np.where(rng.random(shape) < 0.5, rng.random(shape), moved)
        is_changed = rng.random(shape) < _MUTATED_SHARE
        is_changed[np.arange(len(points)), rng.integers(shape[1], size=len(points))] = True
        return np.where(is_changed | np.isnan(points), fresh, points)
