"""The value axis: logarithmic where that shows more, and not squashed by outliers."""

from dataclasses import dataclass

import numpy as np

from tuner.storage.columns_reading import Floats

_LOG_FROM = 30.0  # the ratio of bad to best from which small differences vanish on a linear axis


@dataclass(frozen=True, kw_only=True)
class ValueScale:
    """Where a value axis begins and ends, in values."""

    is_log: bool
    low: float
    high: float

    def clip(self, values: Floats) -> Floats:
        """Values beyond the axis, at its edge."""
        return np.clip(values, self.low, self.high)

    def axis(self, title: str) -> dict[str, object]:
        """For plotly."""
        ends = np.array([self.low, self.high])
        ends = np.log10(ends) if self.is_log else ends
        margin = 0.05 * (ends[1] - ends[0])
        return {
            "type": "log" if self.is_log else "linear",
            "range": [float(ends[0] - margin), float(ends[1] + margin)],
            "title": {"text": title},
        }


def find_scale(values: Floats, minimize: bool, more: Floats | None = None) -> ValueScale:
    """For these values, of which the worse tail may lie beyond the axis.

    `more`: values that are shown as well but have no say beyond the middle ones.
    """
    finite = values[np.isfinite(values)]
    if more is not None and len(more):
        others = more[np.isfinite(more)]
        cut = np.quantile(others, 0.75 if minimize else 0.25) if len(others) else 0.0
        kept = others[others <= cut] if minimize else others[others >= cut]
        finite = np.concatenate([finite, kept])
    if not len(finite):
        return ValueScale(is_log=False, low=0.0, high=1.0)
    low, high = float(finite.min()), float(finite.max())
    middle_low, middle_high = (float(q) for q in np.quantile(finite, [0.1, 0.9]))
    spread = middle_high - middle_low
    if minimize and spread > 0:
        high = min(high, middle_high + 1.5 * spread)
    elif spread > 0:
        low = max(low, middle_low - 1.5 * spread)
    if low == high:
        low, high = low - 0.5 * abs(low or 1.0), high + 0.5 * abs(high or 1.0)
    is_log = minimize and low > 0 and high / low > _LOG_FROM
    return ValueScale(is_log=is_log, low=low, high=high)
