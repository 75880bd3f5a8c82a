"""Intervals of numbers, in code and in words."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Interval:
    """All numbers between two bounds, which are included unless marked as open."""

    low: float = -math.inf
    high: float = math.inf
    is_open_low: bool = False
    is_open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.is_open_low else value >= self.low
        below = value < self.high if self.is_open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        """Return `from 0 to below 1`, `above 0`, `from 1 to 64`; empty without bounds."""
        if math.isinf(self.low) and math.isinf(self.high):
            return ""
        if math.isinf(self.high):
            return f"above {self.low}" if self.is_open_low else f"of at least {self.low}"
        low = f"above {self.low}" if self.is_open_low else f"from {self.low}"
        return f"{low} to {'below ' if self.is_open_high else ''}{self.high}"
