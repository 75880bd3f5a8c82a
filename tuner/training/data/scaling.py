"""Scaling of numbers, fitted on training rows, equal to scikit-learn's transforms.

A fitted scaling is a few arrays. Shapes: N rows, F features, Q quantiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from scipy.special import ndtri

from tuner.training.data.table import Array

_CLIP = 3.0  # of robustly scaled values, approached smoothly: RealMLP, arXiv 2407.04491
_MAX_QUANTILES = 1000
_EDGE = 1e-7  # of a quantile: the normal distribution has no finite ends


class Scaling(Protocol):
    kind: ClassVar[str]  # its name in the study file

    def apply(self, x_NF: Array) -> Array:
        """Return the scaled numbers (float64)."""

    def arrays(self) -> Mapping[str, Array]:
        """Return the fitted arrays."""


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Scales features to mean 0 and deviation 1 over the training rows."""

    kind: ClassVar[str] = "standard"

    mean_F: Array  # float64
    scale_F: Array  # float64

    @classmethod
    def fit(cls, x_NF: Array) -> "Standard":
        """Fit on training rows; a constant feature keeps its scale."""
        mean_F, scale_F = x_NF.mean(0), x_NF.std(0)
        # Rounding may leave a constant feature a tiny scale; the bound is scikit-learn's.
        n_eps = len(x_NF) * np.finfo(np.float64).eps
        is_varied = scale_F**2 > n_eps * scale_F**2 + (n_eps * mean_F) ** 2
        return cls(mean_F=mean_F, scale_F=np.where(is_varied, scale_F, 1.0))

    def apply(self, x_NF: Array) -> Array:
        return np.asarray((x_NF - self.mean_F) / self.scale_F)

    def arrays(self) -> Mapping[str, Array]:
        return {"mean_F": self.mean_F, "scale_F": self.scale_F}


@dataclass(frozen=True, kw_only=True)
class Robust:
    """Scales features to median 0 and interquartile range 1, then clips them smoothly to 3."""

    kind: ClassVar[str] = "robust"

    median_F: Array
    range_F: Array

    @classmethod
    def fit(cls, x_NF: Array) -> "Robust":
        low_F, median_F, high_F = np.percentile(x_NF, [25, 50, 75], axis=0)
        range_F = high_F - low_F
        is_varied = range_F > 10 * np.finfo(np.float64).eps
        return cls(median_F=median_F, range_F=np.where(is_varied, range_F, 1.0))

    def unclipped(self, x_NF: Array) -> Array:
        """Return the values that scikit-learn's RobustScaler gives."""
        return np.asarray((x_NF - self.median_F) / self.range_F)

    def apply(self, x_NF: Array) -> Array:
        scaled_NF = self.unclipped(x_NF)
        return np.asarray(scaled_NF / np.sqrt(1 + (scaled_NF / _CLIP) ** 2))

    def arrays(self) -> Mapping[str, Array]:
        return {"median_F": self.median_F, "range_F": self.range_F}


@dataclass(frozen=True, kw_only=True)
class Quantile:
    """Maps each feature to a normal distribution by its ranks in the training rows."""

    kind: ClassVar[str] = "quantile"

    quantiles_QF: Array

    @classmethod
    def fit(cls, x_NF: Array) -> "Quantile":
        shares_Q = np.linspace(0, 1, min(_MAX_QUANTILES, len(x_NF)))
        quantiles_QF = np.percentile(x_NF, shares_Q * 100, axis=0)
        return cls(quantiles_QF=np.maximum.accumulate(quantiles_QF))  # rounding may break the order

    def apply(self, x_NF: Array) -> Array:
        shares_Q = np.linspace(0, 1, len(self.quantiles_QF))
        columns = [
            _normal(x_N, quantiles_Q, shares_Q)
            for x_N, quantiles_Q in zip(x_NF.T, self.quantiles_QF.T, strict=True)
        ]
        return np.stack(columns, axis=1) if columns else x_NF

    def arrays(self) -> Mapping[str, Array]:
        return {"quantiles_QF": self.quantiles_QF}


@dataclass(frozen=True, kw_only=True)
class NoScaling:
    """Leaves numbers in their own units."""

    kind: ClassVar[str] = "none"

    @classmethod
    def fit(cls, x_NF: Array) -> "NoScaling":
        return cls()

    def apply(self, x_NF: Array) -> Array:
        return x_NF

    def arrays(self) -> Mapping[str, Array]:
        return {}


SCALINGS: Mapping[str, type[Standard] | type[Robust] | type[Quantile] | type[NoScaling]] = {
    scaling.kind: scaling for scaling in (Standard, Robust, Quantile, NoScaling)
}


def _normal(x_N: Array, quantiles_Q: Array, shares_Q: Array) -> Array:
    """Return the normal deviates of the shares; values between two equal quantiles get the middle.

    As in scikit-learn: the mean of the interpolation from below and from above.
    """
    is_low_N, is_high_N = x_N - _EDGE < quantiles_Q[0], x_N + _EDGE > quantiles_Q[-1]
    upward_N = np.interp(x_N, quantiles_Q, shares_Q)
    downward_N = -np.interp(-x_N, -quantiles_Q[::-1], -shares_Q[::-1])
    share_N = np.where(is_low_N, 0.0, np.where(is_high_N, 1.0, 0.5 * (upward_N + downward_N)))
    low, high = ndtri(_EDGE - np.spacing(1)), ndtri(1 - (_EDGE - np.spacing(1)))
    return np.asarray(np.clip(ndtri(share_N), low, high))
