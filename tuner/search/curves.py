"""The mirror of rung values: what all trials of the study reported where pruners compare."""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from tuner.study.report import RungValue
from tuner.study.trial import Direction

_BULK = 64  # from so many new values of a step on, sorting once beats inserting


class Curves:
    """Values by step, sorted; of several values of one trial at one step the first stays.

    NaN is not kept: it has no rank. Infinities are, as the worst or best of all.
    """

    def __init__(self) -> None:
        self._sorted: dict[int, list[float]] = {}
        self._by_trial: dict[tuple[int, int], float] = {}  # (step, number) -> value

    def add(self, values: Sequence[RungValue]) -> None:
        """Take in values, known ones included: adding twice changes nothing."""
        fresh: dict[int, list[float]] = {}
        for given in values:
            key = (given.step, given.number)
            if key not in self._by_trial and not math.isnan(given.value):
                self._by_trial[key] = given.value
                fresh.setdefault(given.step, []).append(given.value)
        for step, new in fresh.items():
            known = self._sorted.setdefault(step, [])
            if len(new) < _BULK:
                for value in new:
                    insort(known, value)
            else:
                known.extend(new)
                known.sort()

    def at(self, step: int) -> Sequence[float]:
        """All values at a step, ascending; not to be changed."""
        return self._sorted.get(step, ())

    def of(self, step: int, number: int) -> float | None:
        """The value of one trial at a step."""
        return self._by_trial.get((step, number))

    def n_better(self, step: int, value: float, direction: Direction) -> int:
        """How many values at a step are strictly better than `value`: O(log n)."""
        known = self._sorted.get(step, [])
        if direction is Direction.MINIMIZE:
            return bisect_left(known, value)
        return len(known) - bisect_right(known, value)
