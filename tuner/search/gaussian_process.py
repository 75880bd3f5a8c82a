"""A Gaussian process on the unit cube: its fit, and joint draws from its posterior."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]

_JITTER = 1e-6
_MAX_ITERATIONS = 30
_SQRT5 = math.sqrt(5)
# Log-normal priors, as mean and standard deviation of the logarithm. Lengths grow with the number
# of inputs, as distances do (Hvarfner, Hellsten, Nardi, "Vanilla Bayesian Optimization Performs
# Great in High Dimensions", ICML 2024, arXiv:2402.02229).
_LENGTH_AT_ONE, _LENGTH_SPREAD = 0.4, 1.0
_NOISE_MEAN, _NOISE_SPREAD = math.log(0.1), 1.0
_SCALE_MEAN, _SCALE_SPREAD = 0.0, 0.5


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A Matern-5/2 kernel with one length per axis, and the noise of observations."""

    lengths: Floats  # (n_axes,)
    scale: float  # variance of the function
    noise: float  # variance

    def between(self, a: Floats, b: Floats, axes: NDArray[np.int64]) -> Floats:
        """Return the covariances (n, m) of the function at features (n, f) and (m, f)."""
        a, b = a / self.lengths[axes], b / self.lengths[axes]
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        r = np.sqrt(np.maximum(squares, 0.0))
        return np.asarray(self.scale * (1 + _SQRT5 * r + 5 / 3 * r**2) * np.exp(-_SQRT5 * r))


def fit_kernel(x: Floats, y: Floats, axes: NDArray[np.int64]) -> Kernel:
    """Return the most probable kernel for observations y (n,) at features x (n, f).

    `axes` (f,) is the axis of each feature. The search starts at the mean of the priors, so the
    result depends on nothing else.
    """
    n_axes = int(axes.max()) + 1
    squares = np.zeros((n_axes, len(x), len(x)))
    for feature, axis in enumerate(axes):
        squares[axis] += (x[:, feature, None] - x[None, :, feature]) ** 2
    mean = np.concatenate(
        [
            np.full(n_axes, math.log(_LENGTH_AT_ONE * math.sqrt(n_axes))),
            [_SCALE_MEAN, _NOISE_MEAN],
        ]
    )
    spread = np.concatenate([np.full(n_axes, _LENGTH_SPREAD), [_SCALE_SPREAD, _NOISE_SPREAD]])
    found = minimize(
        _loss,
        mean,
        args=(squares, y, mean, spread),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(mean - 4 * spread, mean + 4 * spread, strict=True)),
        options={"maxiter": _MAX_ITERATIONS},
    )
    values = np.exp(found.x)
    return Kernel(lengths=values[:n_axes], scale=float(values[-2]), noise=float(values[-1]))


def _loss(
    theta: Floats, squares: Floats, y: Floats, mean: Floats, spread: Floats
) -> tuple[float, Floats]:
    """Return the negative log posterior of the logarithms of the kernel's values, and its slope."""
    n_axes, n = len(squares), len(y)
    inverse = np.exp(-2 * theta[:n_axes])
    scale, noise = np.exp(theta[n_axes:])
    flat = squares.reshape(n_axes, n * n)
    r = np.sqrt(inverse @ flat).reshape(n, n)
    decay = np.exp(-_SQRT5 * r)
    covariance = scale * (1 + _SQRT5 * r + 5 / 3 * r**2) * decay
    total = covariance + (noise + _JITTER) * np.eye(n)
    factor = cholesky(total, lower=True, check_finite=False)
    alpha = cho_solve((factor, True), y, check_finite=False)
    off = (theta - mean) / spread
    loss = 0.5 * y @ alpha + np.log(np.diag(factor)).sum() + 0.5 * off @ off
    weights = cho_solve((factor, True), np.eye(n), check_finite=False) - np.outer(alpha, alpha)
    by_distance = (weights * (scale * 5 / 3 * (1 + _SQRT5 * r) * decay)).ravel()
    slope = 0.5 * np.concatenate(
        [
            (flat @ by_distance) * inverse,
            [(weights * covariance).sum(), noise * np.trace(weights)],
        ]
    )
    return float(loss), slope + off / spread


class Posterior:
    """The function at any features, after observations y (n,) at features x (n, f)."""

    def __init__(self, kernel: Kernel, x: Floats, y: Floats, axes: NDArray[np.int64]) -> None:
        self._kernel, self._x, self._axes = kernel, x, axes
        total = kernel.between(x, x, axes) + (kernel.noise + _JITTER) * np.eye(len(x))
        self._factor = cholesky(total, lower=True, check_finite=False)
        self._alpha = cho_solve((self._factor, True), y, check_finite=False)

    def mean(self, x: Floats) -> Floats:
        """Return the mean (m,) at features (m, f)."""
        return np.asarray(self._kernel.between(x, self._x, self._axes) @ self._alpha)

    def joint(self, x: Floats) -> "Joint":
        """Return the joint distribution at features (m, f)."""
        cross = self._kernel.between(x, self._x, self._axes)
        half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
        covariance = self._kernel.between(x, x, self._axes) - half.T @ half
        return Joint(mean=cross @ self._alpha, factor=_factor(covariance))


@dataclass(frozen=True, kw_only=True)
class Joint:
    """A normal distribution of m values."""

    mean: Floats  # (m,)
    factor: Floats  # (m, m), lower triangular

    def draw(self, rng: np.random.Generator) -> Floats:
        """Draw all values together."""
        return np.asarray(self.mean + self.factor @ rng.standard_normal(len(self.mean)))


def _factor(covariance: Floats) -> Floats:
    """Return the Cholesky factor; rounding may need a larger jitter for nearly equal points."""
    jitter = _JITTER
    while True:
        try:
            total = covariance + jitter * np.eye(len(covariance))
            return np.asarray(cholesky(total, lower=True, check_finite=False))
        except np.linalg.LinAlgError:
            jitter *= 10
