"""The search space as a unit cube."""

import math

import numpy as np
import pytest

from tuner.search.cube import Cube
from tuner.search.samplers.random import RandomSampler
from tuner.space import applying, to_distributions
from tuner.study_file.params.space import Choice, FloatRange, IntRange, When

SPACE = {
    "kind": Choice(choices=("linear", "tree", True)),
    "log": FloatRange(low=1e-4, high=1e-1, log=True),
    "step": FloatRange(low=0.1, high=0.7, step=0.2),
    "int": IntRange(low=2, high=5),
    "int_log": IntRange(low=1, high=1000, log=True),
    "size": Choice(choices=(64, 16, 32.5)),
    "only": Choice(choices=("x",)),
    "flag": Choice(choices=(True, False)),
    "depth": IntRange(low=1, high=9, when=When(parameter="kind", values=("tree", True))),
    "split": Choice(choices=("a", "b", "c"), when=When(parameter="kind", values=("tree",))),
    "quantile": FloatRange(low=0, high=1, when=When(parameter="split", values=("b",))),
}
DISTRIBUTIONS = to_distributions(SPACE)
FREE = np.full(len(SPACE) - 1, math.nan)  # "only" is no axis


@pytest.fixture
def cube() -> Cube:
    return Cube(DISTRIBUTIONS)


def test_params_become_a_point_and_the_same_params_again(cube):
    sampler = RandomSampler(seed=3, distributions=DISTRIBUTIONS)
    for draw in range(200):
        params = sampler.suggest(draw).params
        point = cube.encode(params)
        again = cube.decode(point)
        assert list(again) == list(params)
        for name, value in params.items():
            assert type(again[name]) is type(value)
            assert again[name] == pytest.approx(value)
        known = point[~np.isnan(point)]
        assert ((known >= 0) & (known <= 1)).all()


@pytest.mark.parametrize(
    "close",
    [
        FloatRange(low=1000.0, high=1000.0000000000001, log=True),
        IntRange(low=2**53 - 2, high=2**53, log=True),
    ],
)
def test_bounds_with_the_same_logarithm_are_one_point(close):
    cube = Cube(to_distributions({"lr": close}))
    assert cube.encode({"lr": close.high}).tolist() == [0.0]
    assert close.low <= cube.decode(np.array([0.0]))["lr"] <= close.high


def test_drawn_points_are_valid_and_every_level_is_equally_likely(cube):
    points = cube.draw_many(np.random.default_rng(1), FREE, 6000)
    for point in points[:300]:
        params = cube.decode(point)
        assert tuple(params) == applying(DISTRIBUTIONS, params)
        assert np.allclose(cube.encode(params), point, atol=0.1, equal_nan=True)
    for name, n in (("kind", 3), ("step", 4), ("int", 4), ("size", 3), ("flag", 2)):
        column = points[:, cube.places[name]]
        shares = np.unique(column, return_counts=True)[1] / len(column)
        assert shares == pytest.approx([1 / n] * n, abs=0.03)
    assert np.isnan(points[:, cube.places["depth"]]).mean() == pytest.approx(1 / 3, abs=0.03)


def test_points_on_their_values_stay_there(cube):
    points = cube.draw_many(np.random.default_rng(1), FREE, 500)
    assert np.array_equal(cube.settle(points), points, equal_nan=True)


def test_led_coordinates_are_taken_over_where_they_apply(cube):
    led = cube.encode({"size": 32.5, "depth": 4})
    points = cube.draw_many(np.random.default_rng(1), led, 100)
    params = [cube.decode(point) for point in points]
    assert {p["size"] for p in params} == {32.5}
    assert {p.get("depth") for p in params} == {4, None}


def test_numbers_are_ordered_and_words_are_equally_far_from_each_other(cube):
    assert [cube.axes["size"].decode(x) for x in (0, 0.5, 1)] == [16, 32.5, 64]
    points = np.stack([cube.encode({"kind": kind}) for kind in ("linear", "tree", True)])
    features, axes = cube.features(points)
    assert (axes == cube.places["kind"]).sum() == 3
    distances = [np.linalg.norm(features[a] - features[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert distances == pytest.approx([1, 1, 1])
    assert features[0, axes == cube.places["depth"]] == [0.5], "it does not apply: in the middle"
