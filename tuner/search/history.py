"""A trial as a pruner sees it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class History:
    """The objective's values that one trial has reported; the latest step decides."""

    number: int
    place: int  # what pruners count by: the draw, else the number
    values: Mapping[int, float]  # by step, from 1

    @property
    def step(self) -> int:
        """The latest step, 0 before the first report."""
        return max(self.values, default=0)
