"""The value axis: logarithmic if that shows more, and not squashed by outliers."""

from dataclasses import dataclass

import numpy as np

from tuner.storage.reading.columns import Floats

_FEW = 8  # too few values to predict the range of others
_LOG_FROM = 30.0  # the ratio of bad to best from which small differences vanish on a linear axis


@dataclass(frozen=True, kw_only=True)
class ValueScale:
    """Begin and end of a value axis, in values."""

    is_log: bool
    low: float
    high: float

    def clip(self, values: Floats) -> Floats:
        """Move values beyond the axis to its edge."""
        return np.clip(values, self.low, self.high)

    def axis(self, title: str) -> dict[str, object]:
        ends = np.array([self.low, self.high])
        ends = np.log10(ends) if self.is_log else ends
        margin = 0.05 * (ends[1] - ends[0])
        return {
            "type": "log" if self.is_log else "linear",
            "range": [float(ends[0] - margin), float(ends[1] + margin)],
            "title": {"text": title},
        }


def find_scale(values: Floats, minimize: bool, more: Floats | None = None) -> ValueScale:
    """Return the scale for these values, of which the worse tail may lie beyond the axis.

    `more`: values that are shown as well; the better half of them may make the axis up to twice as
    long.
    """
    finite = values[np.isfinite(values)]
    others = np.empty(0) if more is None else more[np.isfinite(more)]
    if not len(finite):
        finite, others = others, np.empty(0)
    if not len(finite):
        return ValueScale(is_log=False, low=0.0, high=1.0)
    sign = 1.0 if minimize else -1.0
    best, worst = _ends(sign * finite, sign * others)
    low, high = sorted((sign * best, sign * worst))
    is_log = minimize and low > 0 and high / low > _LOG_FROM
    return ValueScale(is_log=is_log, low=low, high=high)


def _ends(losses: Floats, others: Floats) -> tuple[float, float]:
    """Return the best value and the end of the axis."""
    best = float(losses.min())
    q10, q90 = (float(q) for q in np.quantile(losses, [0.1, 0.9]))
    worst = min(float(losses.max()), q90 + 1.5 * (q90 - q10)) if q90 > q10 else float(losses.max())
    if len(others) and len(losses) < _FEW:
        worst = max(worst, float(np.quantile(others, 0.8)))
    elif len(others):
        reach = best + 2 * (worst - best)
        worst = max(worst, min(float(np.quantile(others, 0.5)), reach))
    if worst <= best:
        worst = best + 0.5 * abs(best or 1.0)
    return best, worst
