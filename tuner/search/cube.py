"""The search space as a unit cube, in which models of `tuner` compute."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.space import Distributions, in_order, only_value, step_value, with_conditions
from tuner.study.trial import Params, ParamValue

Floats = NDArray[np.float64]


class Axis(Protocol):
    """One parameter as a coordinate from 0 to 1."""

    @property
    def n_levels(self) -> int | None:
        """Return the number of its values, evenly spaced; None: a continuous range."""
        ...

    @property
    def is_ordered(self) -> bool:
        """Return whether neighbouring values are similar."""
        ...

    def encode(self, value: ParamValue) -> float: ...

    def decode(self, x: float) -> ParamValue: ...


@dataclass(frozen=True, kw_only=True)
class RangeAxis:
    """A range without steps, on a logarithmic scale if it is declared so.

    Whole numbers on a logarithmic scale are rounded when they are decoded.
    """

    low: float
    high: float
    is_log: bool
    is_whole: bool
    n_levels: int | None = None
    is_ordered: bool = True

    def encode(self, value: ParamValue) -> float:
        if self._width == 0:  # two bounds with the same logarithm
            return 0.0
        return (self._scale(_number(value)) - self._scale(self.low)) / self._width

    def decode(self, x: float) -> ParamValue:
        scaled = self._scale(self.low) + x * self._width
        value = math.exp(scaled) if self.is_log else scaled
        if self.is_whole:
            return int(min(max(round(value), self.low), self.high))
        return float(min(max(value, self.low), self.high))  # exp(log(x)) may miss x

    @property
    def _width(self) -> float:
        return self._scale(self.high) - self._scale(self.low)

    def _scale(self, number: float) -> float:
        return math.log(number) if self.is_log else number


@dataclass(frozen=True, kw_only=True)
class LevelsAxis:
    """Choices. Numbers are ordered, and so are two choices of any type."""

    values: Sequence[ParamValue]  # in their order, two or more
    is_ordered: bool

    @property
    def n_levels(self) -> int:
        return len(self.values)

    def encode(self, value: ParamValue) -> float:
        found = (i for i, v in enumerate(self.values) if type(v) is type(value) and v == value)
        return next(found) / (len(self.values) - 1)

    def decode(self, x: float) -> ParamValue:
        return self.values[round(x * (len(self.values) - 1))]


@dataclass(frozen=True, kw_only=True)
class StepsAxis:
    """A range with evenly spaced values."""

    distribution: FloatDistribution | IntDistribution
    n_levels: int  # two or more
    is_ordered: bool = True

    def encode(self, value: ParamValue) -> float:
        d = self.distribution
        assert d.step is not None
        return round((_number(value) - d.low) / d.step) / (self.n_levels - 1)

    def decode(self, x: float) -> ParamValue:
        index = round(x * (self.n_levels - 1))
        if isinstance(self.distribution, IntDistribution):
            return self.distribution.low + index * self.distribution.step
        return step_value(self.distribution, index)


class Cube:
    """Points of the space: one coordinate per parameter with several values, parents first.

    A coordinate of a parameter that does not apply is NaN.
    """

    def __init__(self, distributions: Distributions) -> None:
        self._space = with_conditions(distributions)
        names = [name for name in self._space.order if not self._space[name].single()]
        self.axes: Mapping[str, Axis] = {name: _axis(self._space[name]) for name in names}
        self.places: Mapping[str, int] = {name: place for place, name in enumerate(names)}
        self._constants = {name: only_value(d) for name, d in self._space.items() if d.single()}

    def encode(self, params: Params) -> Floats:
        """Return the point of these params, with NaN for those that are missing."""
        return np.array(
            [
                axis.encode(params[name]) if name in params else math.nan
                for name, axis in self.axes.items()
            ]
        )

    def decode(self, point: Floats) -> dict[str, ParamValue]:
        """Return the params at a point, exactly those that apply, in the space's order."""
        chosen: dict[str, ParamValue] = {}
        for name in self._space.order:
            if name in self._constants:
                if self._space.holds(name, chosen):
                    chosen[name] = self._constants[name]
            elif not math.isnan(x := float(point[self.places[name]])):
                chosen[name] = self.axes[name].decode(x)
        return in_order(self._space, chosen)

    @property
    def blocks(self) -> Sequence[Sequence[str]]:
        """Return the axes that always apply, together, and then each other one, parents first."""
        always = [name for name in self.axes if name not in self._space.conditions]
        return [always, *([name] for name in self.axes if name in self._space.conditions)]

    def applies_at(self, name: str, point: Floats) -> bool:
        """Return whether a parameter applies at a point whose parents are set."""
        return bool(self._applies(name, point[None])[0])

    def draw(self, rng: np.random.Generator, led: Floats) -> Floats:
        """Draw a point uniformly, with the coordinates of `led` that are not NaN."""
        (point,) = self.draw_many(rng, led, 1)
        return np.asarray(point)

    def draw_many(self, rng: np.random.Generator, led: Floats, n: int) -> Floats:
        """Draw points (n, n_axes) uniformly, each as `draw` does."""
        return self.settle(self.lead(rng.random((n, len(self.axes))), led))

    def lead(self, points: Floats, led: Floats) -> Floats:
        """Return the points with the coordinates of `led` that are not NaN."""
        return np.where(np.isnan(led), points, led)

    def settle(self, points: Floats) -> Floats:
        """Return the points (n, n_axes) on the values of their axes, with NaN where none applies.

        Each coordinate from 0 to 1 lies next to one level; all levels own intervals of one length.
        """
        settled = points.copy()
        for name, place in self.places.items():
            if n := self.axes[name].n_levels:
                levels = np.minimum(np.floor(points[:, place] * n), n - 1)
                settled[:, place] = levels / (n - 1)
        for name, place in self.places.items():
            settled[~self._applies(name, settled), place] = math.nan
        return settled

    def _applies(self, name: str, points: Floats) -> NDArray[np.bool_]:
        """Return where a parameter applies; its parent's coordinates are settled."""
        condition = self._space.conditions.get(name)
        if condition is None:
            return np.ones(len(points), dtype=bool)
        parent = condition.parameter
        if parent in self._constants:
            holds = self._space.holds(name, {parent: self._constants[parent]})
            return self._applies(parent, points) if holds else np.zeros(len(points), dtype=bool)
        axis = self.axes[parent]
        wanted = [axis.encode(value) for value in condition.values]
        found = points[:, self.places[parent], None]
        return np.asarray((np.abs(found - np.array(wanted)) < 1e-9).any(axis=1))

    def features(self, points: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Return inputs of a model with distances, (n, n_features), and the axis of each column.

        An unordered choice has a column for each value, so that all values are equally far from
        each other. A parameter that does not apply is in the middle.
        """
        columns, axes = [], []
        for place, axis in enumerate(self.axes.values()):
            x = points[:, place]
            for column in _columns(axis, x):
                columns.append(column)
                axes.append(place)
        matrix = np.stack(columns, axis=1) if columns else np.zeros((len(points), 0))
        return matrix, np.array(axes, dtype=np.int64)


def _columns(axis: Axis, x: Floats) -> Iterator[Floats]:
    if axis.is_ordered or axis.n_levels is None:
        yield np.where(np.isnan(x), 0.5, x)
        return
    level = np.round(x * (axis.n_levels - 1))
    for index in range(axis.n_levels):
        is_here = np.where(np.isnan(x), 1 / axis.n_levels, level == index)
        yield is_here / math.sqrt(2)


def _number(value: ParamValue) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _axis(distribution: BaseDistribution) -> Axis:
    match distribution:
        case CategoricalDistribution(choices=choices):
            if all(type(choice) in (int, float) for choice in choices):
                return LevelsAxis(values=sorted(choices, key=_number), is_ordered=True)
            return LevelsAxis(values=choices, is_ordered=len(choices) == 2)
        case FloatDistribution(step=None) | IntDistribution(log=True):
            return RangeAxis(
                low=distribution.low,
                high=distribution.high,
                is_log=distribution.log,
                is_whole=isinstance(distribution, IntDistribution),
            )
        case FloatDistribution() | IntDistribution():
            assert distribution.step is not None
            n_steps = round((distribution.high - distribution.low) / distribution.step)
            return StepsAxis(distribution=distribution, n_levels=n_steps + 1)
        case _:
            raise ValueError(f"no axis for {distribution!r}")
