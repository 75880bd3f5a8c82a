"""Grid search."""

import pytest

from tuner.search.samplers.grid import GridSampler
from tuner.space import fitting_params, is_inside, to_distributions
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, When

SPACE: dict[str, Range] = {
    "learning_rate": FloatRange(low=1e-4, high=1e-1, log=True, grid=4),
    "dropout": FloatRange(low=0, high=0.5, step=0.25),
    "optimizer": Choice(choices=("sgd", "adam")),
    "momentum": FloatRange(
        low=0, high=0.9, grid=5, when=When(parameter="optimizer", values=("sgd",))
    ),
    "n_layers": IntRange(low=1, high=2),
}


def test_every_valid_combination_is_drawn_exactly_once():
    sampler = GridSampler(seed=3, space=SPACE)
    n = sampler.n_draws()
    assert n == 4 * 3 * (5 + 1) * 2
    drawn = [sampler.suggest(draw).params for draw in range(n)]
    assert len({tuple(params.items()) for params in drawn}) == n
    assert sum("momentum" in params for params in drawn) == 4 * 3 * 5 * 2


def test_every_value_lies_in_the_space():
    sampler, distributions = GridSampler(seed=3, space=SPACE), to_distributions(SPACE)
    for draw in range(sampler.n_draws() or 0):
        params = sampler.suggest(draw).params
        assert repr(fitting_params(params, distributions)) == repr(dict(params))


@pytest.mark.parametrize(
    "given",
    [
        FloatRange(low=0.1, high=0.7, grid=1000),
        FloatRange(low=1e-300, high=1e300, log=True, grid=999),
        FloatRange(low=-3, high=1e-5, step=1e-5, grid=77),
        IntRange(low=1, high=10**6, log=True, grid=500),
        IntRange(low=-7, high=2**53 - 7, step=4, grid=500),
    ],
)
def test_points_lie_in_optunas_distribution(given):
    sampler = GridSampler(seed=0, space={"x": given})
    distribution = to_distributions({"x": given})["x"]
    values = [sampler.suggest(draw).params["x"] for draw in range(sampler.n_draws() or 0)]
    assert len(set(values)) == len(values)
    assert {given.low, given.high} <= set(values)
    assert all(is_inside(distribution, value) for value in values)


def test_the_order_is_shuffled_by_the_seed():
    orders = [
        [
            tuple(GridSampler(seed=seed, space=SPACE).suggest(draw).params.items())
            for draw in range(9)
        ]
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_a_grid_of_a_trillion_cells_costs_nothing_up_front():
    space: dict[str, Range] = {name: IntRange(low=1, high=1000) for name in "abcd"}
    sampler = GridSampler(seed=0, space=space)
    assert sampler.n_draws() == 10**12
    assert set(sampler.suggest(10**12 - 1).params) == set("abcd")


def test_a_draw_beyond_the_grid_is_our_own_mistake():
    with pytest.raises(AssertionError):
        GridSampler(seed=0, space={"a": IntRange(low=1, high=3)}).suggest(3)
