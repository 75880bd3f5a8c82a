"""Paired differences in standard deviations between searches, with bootstrap intervals."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.search.records import Search

N_RESAMPLES = 4000
LEVEL = 0.90
MIN_PAIRS = 3  # of a data set, for an interval: one pair, drawn again and again, has no width

Measure = Callable[[Search], float | None]  # lower is better; None: the search has no such value
_Place = tuple[str, int]  # data set, trials in flight


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over pairs, and the interval that a bootstrap gives it."""

    mean: float
    low: float
    high: float
    n: int
    fewest: int  # pairs of a data set

    @property
    def is_known(self) -> bool:
        return self.fewest >= MIN_PAIRS

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def paired_differences(
    searches: Sequence[Search],
    baseline: Sequence[Search],
    measure: Measure,
    among: Sequence[Search] = (),
) -> dict[str, list[float]]:
    """Return `searches` minus `baseline` by data set, of equal data, trials in flight and seed.

    The unit is the standard deviation between searches of a contender on that data set with that
    number in flight: over all contenders of `among`, or the baseline's alone. A pair of which one
    search lacks the value is left out, and so is a data set without spread.
    """
    spreads = spreads_of(among or baseline, measure)
    others = {_key(search): measure(search) for search in baseline}
    found: dict[str, list[float]] = {}
    for search in searches:
        one, other = measure(search), others.get(_key(search))
        spread = spreads.get(_place(search))
        if one is not None and other is not None and spread:
            found.setdefault(search.cell.data, []).append((one - other) / spread)
    return found


def null_differences(
    baseline: Sequence[Search], measure: Measure, among: Sequence[Search] = ()
) -> dict[str, list[float]]:
    """Return differences of the baseline to itself under the next seed, by data set.

    There is nothing to find, so that the width of their interval shows what could be found.
    """
    spreads = spreads_of(among or baseline, measure)
    found: dict[str, list[float]] = {}
    for place, members in _by_place(baseline).items():
        ordered = sorted(members, key=lambda search: search.cell.seed)
        values = [value for search in ordered if (value := measure(search)) is not None]
        if spreads.get(place):
            shifted = [*values[1:], *values[:1]]
            pairs = zip(values, shifted, strict=True)
            found.setdefault(place[0], []).extend((a - b) / spreads[place] for a, b in pairs)
    return found


def spreads_of(searches: Sequence[Search], measure: Measure) -> dict[_Place, float]:
    """Return the standard deviation between searches that differ in the seed alone, by place.

    Those of several contenders are pooled, each around its own mean.
    """
    spreads = {}
    for place, members in _by_place(searches).items():
        by_name: dict[str, list[float]] = {}
        for search in members:
            if (value := measure(search)) is not None:
                by_name.setdefault(search.cell.contender, []).append(value)
        many = [values for values in by_name.values() if len(values) > 1]
        if many:
            squares = sum(statistics.variance(values) * (len(values) - 1) for values in many)
            spreads[place] = math.sqrt(squares / sum(len(values) - 1 for values in many))
    return spreads


def bootstrap(differences: Mapping[str, Sequence[float]], seed: int = 0) -> Interval | None:
    """Return the mean of all differences; pairs are drawn again within each data set.

    Draws from n pairs vary by a factor of sqrt((n - 1) / n) too little, which counts with few
    seeds: they are spread around the mean by its inverse.
    """
    groups = [np.asarray(values) for values in differences.values() if len(values)]
    if not groups:
        return None
    generator = np.random.default_rng(seed)
    sums = np.zeros(N_RESAMPLES)
    for group in groups:
        n = len(group)
        spread = group.mean() + (group - group.mean()) * math.sqrt(n / max(n - 1, 1))
        sums += spread[generator.integers(n, size=(N_RESAMPLES, n))].sum(1)
    everything = np.concatenate(groups)
    low, high = np.quantile(sums / len(everything), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(
        mean=float(everything.mean()),
        low=float(low),
        high=float(high),
        n=len(everything),
        fewest=min(map(len, groups)),
    )


def mean_ranks(searches: Sequence[Search], measure: Measure) -> dict[str, float]:
    """Return each contender's mean rank, from 1, where all contenders have a value.

    Equal values share the mean of their ranks.
    """
    names = {search.cell.contender for search in searches}
    by_key: dict[tuple[str, int, int], dict[str, float]] = {}
    for search in searches:
        value = measure(search)
        if value is not None:
            by_key.setdefault(_key(search), {})[search.cell.contender] = value
    ranks: dict[str, list[float]] = {}
    for values in by_key.values():
        if values.keys() != names:
            continue
        for name, value in values.items():
            n_better = sum(other < value for other in values.values())
            n_equal = sum(other == value for other in values.values())
            ranks.setdefault(name, []).append(n_better + (n_equal + 1) / 2)
    return {name: statistics.mean(found) for name, found in ranks.items()}


def _key(search: Search) -> tuple[str, int, int]:
    return (*_place(search), search.cell.seed)


def _place(search: Search) -> _Place:
    return (search.cell.data, search.cell.in_flight)


def _by_place(searches: Sequence[Search]) -> dict[_Place, list[Search]]:
    found: dict[_Place, list[Search]] = {}
    for search in searches:
        found.setdefault(_place(search), []).append(search)
    return found
