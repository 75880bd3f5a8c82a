"""The mirror of rung values: reports of all trials of the study at the steps of pruners."""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from tuner.study.report import RungValue
from tuner.study.trial import Direction

_BULK = 64  # new values of a step: from this number on, sorting once is faster than inserting

# Puts every place into a group; hashable, so that the values of its groups are sorted only once.
Partition = Callable[[int], Hashable]
_Group = tuple[bool, Hashable]  # whether of COMPLETE trials only, and the group of a partition


@dataclass(frozen=True, kw_only=True)
class Among:
    """Return whether a partition puts a trial into the group of `place`."""

    partition: Partition
    place: int


class Curves:
    """Values by step, sorted; of several values of one trial at one step the first stays.

    There are two books: the reports of trials at their rungs, however they ended, and
    (`complete=True`) the values of COMPLETE trials, their final value at step 0. NaN is not kept:
    it has no rank. Infinities are kept, as the worst or best of all.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[bool, int, int], RungValue] = {}  # by (complete, step, number)
        self._books = {False: _Book(), True: _Book()}  # by complete
        # Built when a partition is first asked for, and kept up from then on.
        self._parts: dict[Partition, dict[_Group, _Book]] = {}

    def add(self, values: Sequence[RungValue]) -> None:
        """Add values; known ones change nothing."""
        fresh = []
        for given in values:
            key = (given.is_complete, given.step, given.number)
            if key not in self._known and not math.isnan(given.value):
                self._known[key] = given
                fresh.append(given)
        for complete, book in self._books.items():
            book.add(given for given in fresh if given.is_complete == complete)
        for partition, parts in self._parts.items():
            _add_by_group(parts, partition, fresh)

    def at(
        self, step: int, *, complete: bool = False, among: Among | None = None
    ) -> Sequence[float]:
        """Return all values at a step, ascending; callers must not change them."""
        return self._book(complete, among).at(step)

    def of(self, step: int, number: int, *, complete: bool = False) -> float | None:
        """Return the value of one trial at a step."""
        known = self._known.get((complete, step, number))
        return None if known is None else known.value

    def n_better(
        self,
        step: int,
        value: float,
        direction: Direction,
        *,
        complete: bool = False,
        among: Among | None = None,
    ) -> int:
        """Count the values at a step that are strictly better than `value`, in O(log n)."""
        known = self.at(step, complete=complete, among=among)
        if direction is Direction.MINIMIZE:
            return bisect_left(known, value)
        return len(known) - bisect_right(known, value)

    def _book(self, complete: bool, among: Among | None) -> "_Book":
        if among is None:
            return self._books[complete]
        if among.partition not in self._parts:
            parts = self._parts[among.partition] = {}
            _add_by_group(parts, among.partition, self._known.values())
        group = (complete, among.partition(among.place))
        return self._parts[among.partition].get(group, _NOTHING)


class _Book:
    def __init__(self) -> None:
        self._sorted: dict[int, list[float]] = {}

    def add(self, values: Iterable[RungValue]) -> None:
        fresh: dict[int, list[float]] = {}
        for given in values:
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
        return self._sorted.get(step, ())


_NOTHING = _Book()


def _add_by_group(
    parts: dict[_Group, _Book], partition: Partition, values: Iterable[RungValue]
) -> None:
    groups: dict[_Group, list[RungValue]] = {}
    for given in values:
        groups.setdefault((given.is_complete, partition(given.place)), []).append(given)
    for group, members in groups.items():
        parts.setdefault(group, _Book()).add(members)
