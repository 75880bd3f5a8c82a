"""The likely benefit of the rest of a study's budget."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.study.limits import Limits, Used
from tuner.study.trial import Direction

MIN_VALUES = 20  # COMPLETE trials, for an estimate
N_LATEST = 1000  # of them are used, at most
UNLIKELY = 0.1  # below this chance more trials are unlikely to help
_MIN_TAIL = 5


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """The chance that the best value is still improved."""

    chance: float
    n_left: float  # COMPLETE trials that the rest of the budget is likely to bring
    noise: float | None  # what an improvement must exceed; None: any improvement counts

    @property
    def is_unlikely(self) -> bool:
        """Return whether more trials are unlikely to help."""
        return self.chance < UNLIKELY

    @property
    def sentence(self) -> str:
        """Return the estimate in words."""
        head = "more trials are unlikely to help: " if self.is_unlikely else ""
        by = "" if self.noise is None else f" by more than {self.noise:.3g}, the confirmed noise"
        chance = "under 1" if self.chance < 0.01 else f"{100 * self.chance:.0f}"
        return f"{head}{chance} % chance that the rest of the budget improves the best value{by}"


def find_outlook(
    values: Sequence[float],
    *,
    n_complete: int,
    n_open: int,
    limits: Limits,
    used: Used,
    direction: Direction,
    noise: float | None = None,
) -> Outlook | None:
    """Estimate it from the latest values of COMPLETE trials, in the order of their ends.

    `n_complete` are all COMPLETE trials, and `n_open` those that were claimed and have not ended.

    Source: the peaks over a threshold of extreme value theory, with an exponential tail (Coles, "An
    Introduction to Statistical Modeling of Extreme Values", 2001, chapter 4). The tail is the best
    quarter of the later half, so that it follows a search that has become better. None with fewer
    than `MIN_VALUES`, without a limit, or if the values are too large to compare.
    """
    n_left = _expect_complete(n_complete, n_open, limits, used)
    if n_left is None or len(values) < MIN_VALUES:
        return None
    ranks = [direction.rank(value) for value in values]
    best = min(ranks) if used.best is None else min(*ranks, direction.rank(used.best))
    later = ranks[-max(MIN_VALUES, len(ranks) // 2) :]
    n_tail = max(_MIN_TAIL, len(later) // 4)
    *tail, threshold = heapq.nsmallest(n_tail + 1, later)
    mean_excess = sum((threshold - rank) / n_tail for rank in tail)
    distance = threshold - (best - (noise or 0.0))
    if not (math.isfinite(mean_excess) and math.isfinite(distance)):
        return None
    if mean_excess > 0:
        one = n_tail / len(later) * math.exp(-distance / mean_excess)
        chance = -math.expm1(n_left * math.log1p(-min(one, 1 - 1e-12)))
    else:
        chance = 0.0
    return Outlook(chance=chance, n_left=n_left, noise=noise)


def _expect_complete(n_complete: int, n_open: int, limits: Limits, used: Used) -> float | None:
    """Return how many more COMPLETE trials to expect at the present rate; None without a limit.

    Trials are used when they are claimed, so those that are open are still to come.
    """
    amounts = [
        (used.steps, limits.steps),
        (used.seconds, limits.seconds),
        (used.device_seconds, limits.device_seconds),
    ]
    left = [
        n_complete * max(0.0, limit / amount - 1)
        for amount, limit in amounts
        if limit is not None and amount > 0
    ]
    if limits.trials is not None and used.trials > n_open:
        rate = n_complete / (used.trials - n_open)
        left.append(rate * (max(0, limits.trials - used.trials) + n_open))
    return min(left, default=None)
