"""The cells of a search space."""

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.study.trial import ParamValue
from tuner.study_file.params.grid import Grid, count_cells, points_of
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, When


@pytest.mark.parametrize(
    ("given", "points"),
    [
        (Choice(choices=("a", None, True)), ["a", None, True]),
        (IntRange(low=1, high=4), [1, 2, 3, 4]),
        (IntRange(low=5, high=50, step=15), [5, 20, 35, 50]),
        (IntRange(low=1, high=5, log=True), [1, 2, 3, 4, 5]),
        (IntRange(low=1, high=100, grid=4), [1, 34, 67, 100]),
        (IntRange(low=0, high=10, step=2, grid=3), [0, 6, 10]),
        (IntRange(low=1, high=3, grid=9), [1, 2, 3]),
        (IntRange(low=1, high=1000, log=True, grid=4), [1, 10, 100, 1000]),
        (IntRange(low=1, high=8, log=True, grid=7), [1, 2, 3, 4, 6, 8]),  # 1.4 is 1
        (FloatRange(low=0, high=0.5, grid=6), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (FloatRange(low=0.1, high=0.7, step=0.2), [0.1, 0.3, 0.5, 0.7]),
        (FloatRange(low=0, high=1, step=0.1, grid=3), [0.0, 0.5, 1.0]),
        (FloatRange(low=0.3, high=0.3), [0.3]),
        (FloatRange(low=0.3, high=0.3, grid=5), [0.3]),
    ],
)
def test_the_points_of_a_range(given, points):
    assert list(points_of(given)) == points
    assert [type(point) for point in points_of(given)] == [type(point) for point in points]


def test_points_of_a_log_range_are_geometric_with_exact_ends():
    points = list(points_of(FloatRange(low=1e-4, high=1e-1, log=True, grid=7)))
    assert (points[0], points[-1]) == (1e-4, 1e-1)
    ratios = [high / low for low, high in itertools.pairwise(points)]
    assert all(math.isclose(ratio, 10**0.5) for ratio in ratios)


SPACE: dict[str, Range] = {
    "nesterov": Choice(choices=(True, False), when=When(parameter="kind", values=("heavy", 2))),
    "optimizer": Choice(choices=("sgd", "adam", "none")),
    "momentum": FloatRange(
        low=0.5, high=0.9, step=0.2, when=When(parameter="optimizer", values=("sgd",))
    ),
    "kind": Choice(
        choices=("heavy", 2, "light"), when=When(parameter="optimizer", values=("sgd", "adam"))
    ),
    "width": IntRange(low=1, high=2),
}


def test_cells_of_a_conditional_space_are_its_valid_combinations_only():
    grid = Grid(SPACE)
    # sgd: 3 momenta x (2 + 2 + 1); adam: 2 + 2 + 1; none: 1; each with two widths
    assert grid.n_cells == (3 * 5 + 5 + 1) * 2
    cells = [grid.params(cell) for cell in range(grid.n_cells)]
    assert sorted(map(repr, cells)) == sorted(map(repr, brute_force(SPACE)))
    assert all(list(cell) == [name for name in SPACE if name in cell] for cell in cells)


def brute_force(space: dict[str, Range]) -> Iterator[dict[str, ParamValue]]:
    """Every combination, reduced to what applies; each once."""
    seen = set()
    for values in itertools.product(*(list(points_of(other)) for other in space.values())):
        params = dict(zip(space, values, strict=True))
        kept = {name: params[name] for name in space if applies(name, params, space)}
        if repr(kept) not in seen:
            seen.add(repr(kept))
            yield kept


def applies(name: str, params: dict[str, ParamValue], space: dict[str, Range]) -> bool:
    when = space[name].when
    if when is None:
        return True
    found = (type(params[when.parameter]), params[when.parameter])
    holds = found in {(type(value), value) for value in when.values}
    return holds and applies(when.parameter, params, space)


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Range]:
    """Spaces of up to five parameters, each perhaps under an earlier choice, in any order."""
    space: dict[str, Range] = {}
    for name in "abcde"[: draw(st.integers(1, 5))]:
        parents = [other for other, given in space.items() if isinstance(given, Choice)]
        when = None
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            choices = space[parent].choices
            chosen = draw(st.lists(st.sampled_from(choices), min_size=1, unique_by=repr))
            when = When(parameter=parent, values=tuple(chosen))
        if draw(st.booleans()):
            n = draw(st.integers(1, 3))
            space[name] = Choice(choices=("x", True, 0)[:n], when=when)
        else:
            space[name] = IntRange(low=0, high=draw(st.integers(0, 2)), when=when)
    names = draw(st.permutations(list(space)))
    return {name: space[name] for name in names}


@settings(deadline=None, max_examples=150)
@given(spaces())
def test_counting_agrees_with_trying_all_combinations(space):
    grid = Grid(space)
    expected = sorted(map(repr, brute_force(space)))
    assert sorted(repr(grid.params(cell)) for cell in range(grid.n_cells)) == expected


def test_a_huge_grid_is_counted_without_being_enumerated():
    space: dict[str, Range] = {f"p{n}": IntRange(low=1, high=10**9) for n in range(20)}
    grid = Grid(space)
    assert grid.n_cells == 10**180
    assert grid.params(0) == dict.fromkeys(space, 1)
    assert grid.params(10**180 - 1) == dict.fromkeys(space, 10**9)


def test_a_space_with_a_continuous_range_has_no_grid():
    assert count_cells({"a": FloatRange(low=0, high=1)}) is None
    assert count_cells({"a": FloatRange(low=0, high=1, grid=3)}) == 3


@pytest.mark.parametrize("cell", [-1, 3])
def test_a_cell_outside_is_our_own_mistake(cell):
    with pytest.raises(AssertionError):
        Grid({"a": IntRange(low=1, high=3)}).params(cell)
