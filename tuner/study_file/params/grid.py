"""The grid of a search space: its number of cells, and the params of each cell.

Nothing is enumerated except the points of ranges with `grid: n`: a space of 10**12 cells costs no
more than one of 48. A cell is a number in mixed radix, one digit for each parameter; if parameters
depend on a choice, each of its values has as many cells as these have under it.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Protocol

from tuner.study.trial import ParamValue
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, SearchSpace


class _Part(Protocol):
    """A part of the grid."""

    @property
    def n_cells(self) -> int: ...

    def params(self, cell: int) -> dict[str, ParamValue]: ...


@dataclass(frozen=True, kw_only=True)
class _Leaf:
    """One parameter on which no other depends."""

    name: str
    points: Sequence[ParamValue]

    @property
    def n_cells(self) -> int:
        return len(self.points)

    def params(self, cell: int) -> dict[str, ParamValue]:
        return {self.name: self.points[cell]}


@dataclass(frozen=True, kw_only=True)
class _Product:
    """Parts that vary independently; the last one fastest."""

    parts: tuple[_Part, ...]

    @property
    def n_cells(self) -> int:
        return math.prod(part.n_cells for part in self.parts)

    def params(self, cell: int) -> dict[str, ParamValue]:
        found: dict[str, ParamValue] = {}
        for part in reversed(self.parts):
            cell, digit = divmod(cell, part.n_cells)
            found |= part.params(digit)
        return found


@dataclass(frozen=True, kw_only=True)
class _Branching:
    """A choice and, for each of its values, the part that applies under it."""

    name: str
    choices: tuple[ParamValue, ...]
    below: tuple[_Part, ...]  # for each choice
    ends: tuple[int, ...]  # for each choice the cells up to its end

    @property
    def n_cells(self) -> int:
        return self.ends[-1]

    def params(self, cell: int) -> dict[str, ParamValue]:
        index = bisect_right(self.ends, cell)
        before = self.ends[index - 1] if index else 0
        return {self.name: self.choices[index], **self.below[index].params(cell - before)}


class Grid:
    """All valid combinations of a search space whose ranges have finitely many values."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._children: dict[str, list[str]] = {}
        for name, given in space.items():
            if given.when is not None:
                self._children.setdefault(given.when.parameter, []).append(name)
        roots = [name for name, given in space.items() if given.when is None]
        self._root = _Product(parts=tuple(map(self._build, roots)))
        self.n_cells = self._root.n_cells

    def params(self, cell: int) -> dict[str, ParamValue]:
        """Return the params of a cell from 0 to below `n_cells`, in the space's order."""
        assert 0 <= cell < self.n_cells, f"the grid has no cell {cell}"
        found = self._root.params(cell)
        return {name: found[name] for name in self._space if name in found}

    def _build(self, name: str) -> _Part:
        given = self._space[name]
        if not isinstance(given, Choice) or name not in self._children:
            return _Leaf(name=name, points=points_of(given))
        below = tuple(self._below(name, value) for value in given.choices)
        ends = tuple(accumulate(part.n_cells for part in below))
        return _Branching(name=name, choices=given.choices, below=below, ends=ends)

    def _below(self, name: str, value: ParamValue) -> _Part:
        children = (child for child in self._children[name] if _holds(self._space[child], value))
        return _Product(parts=tuple(map(self._build, children)))


def _holds(given: Range, value: ParamValue) -> bool:
    assert given.when is not None
    return any(type(other) is type(value) and other == value for other in given.when.values)


def is_finite(given: Range) -> bool:
    """Return False for a float range with neither `step` nor `grid`."""
    return (
        not isinstance(given, FloatRange) or bool(given.step or given.grid) or _is_constant(given)
    )


def _is_constant(given: FloatRange | IntRange) -> bool:
    return given.low == given.high


def points_of(given: Range) -> Sequence[ParamValue]:
    """Return the distinct values of a range in the grid, ascending; those with steps on demand."""
    match given:
        case Choice():
            return given.choices
        case IntRange():
            return _int_points(given)
        case FloatRange():
            return _float_points(given)


def _int_points(given: IntRange) -> Sequence[int]:
    values = range(given.low, given.high + 1, given.step)
    if given.grid is None or given.grid >= len(values):
        return values
    if given.log:
        inside = (round(point) for point in _geometric(given.low, given.high, given.grid))
        return sorted({min(max(point, given.low), given.high) for point in inside})
    return [values[index] for index in _even_indices(len(values), given.grid)]


def _float_points(given: FloatRange) -> Sequence[float]:
    if _is_constant(given):
        return [given.low]
    if given.step is not None:
        values = _Steps(low=given.low, high=given.high, step=given.step)
        if given.grid is None or given.grid >= len(values):
            return values
        return [values[index] for index in _even_indices(len(values), given.grid)]
    assert given.grid is not None, "the study file refuses a float without points under a grid"
    if given.log:
        points = _geometric(given.low, given.high, given.grid)
    else:
        low, width = _exact(given.low), _exact(given.high) - _exact(given.low)
        points = [float(low + width * k / (given.grid - 1)) for k in range(given.grid)]
    return sorted({min(max(point, given.low), given.high) for point in points})


def _geometric(low: float, high: float, n: int) -> list[float]:
    """Return `n` points, each the same multiple of the one before; the ends are exact."""
    start, width = math.log(low), math.log(high) - math.log(low)
    inside = [math.exp(start + width * k / (n - 1)) for k in range(1, n - 1)]
    return [low, *inside, high]


def _even_indices(n_values: int, n: int) -> list[int]:
    """Return `n` indices below `n_values`, both ends included, as evenly spaced as possible."""
    return [(2 * k * (n_values - 1) + n - 1) // (2 * (n - 1)) for k in range(n)]


@dataclass(frozen=True)
class _Steps(Sequence[float]):
    """Values with steps, in decimal arithmetic: 0.3, not 0.30000000000000004."""

    low: float
    high: float
    step: float

    def __len__(self) -> int:
        return int((_exact(self.high) - _exact(self.low)) / _exact(self.step)) + 1

    def __getitem__(self, index: int) -> float:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return float(_exact(self.low) + index * _exact(self.step))


def _exact(value: float) -> Fraction:
    return Fraction(Decimal(str(value)))


def count_cells(space: Mapping[str, Range]) -> int | None:
    """Count the cells of a space's grid; None if a range has infinitely many values."""
    return Grid(space).n_cells if all(map(is_finite, space.values())) else None
