"""The goal of a study: a metric and its direction.

A study has one goal. Whatever compares values asks it, so that several goals can be added here.
"""

from dataclasses import dataclass

from tuner.study.trial import Direction


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A metric to minimize or to maximize."""

    metric: str
    direction: Direction

    def rank(self, value: float) -> float:
        """A key to sort values by: the better, the lower."""
        return self.direction.rank(value)

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is better than `b`; NaN never is."""
        return self.rank(a) < self.rank(b)
