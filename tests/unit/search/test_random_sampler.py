"""Random search."""

from collections import Counter

import pytest

from tuner.search.samplers.random import RandomSampler, draw_value
from tuner.space import to_distributions
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range


def draws(given: Range, n: int) -> list[float]:
    distribution = to_distributions({"x": given})["x"]
    values = [draw_value(distribution, seed) for seed in range(n)]
    return [value for value in values if isinstance(value, int | float)]


def test_another_parameter_in_the_space_does_not_change_the_others():
    space: dict[str, Range] = {"a": FloatRange(low=0, high=1), "b": IntRange(low=0, high=99)}
    small = RandomSampler(seed=1, distributions=to_distributions(space))
    large = RandomSampler(
        seed=1, distributions=to_distributions({"z": FloatRange(low=0, high=1), **space})
    )
    for draw in range(20):
        wide = dict(large.suggest(draw).params)
        wide.pop("z")
        assert wide == small.suggest(draw).params


def test_seed_and_draw_both_matter():
    distributions = to_distributions({"a": FloatRange(low=0, high=1)})
    values = {
        RandomSampler(seed=seed, distributions=distributions).suggest(draw).params["a"]
        for seed in range(10)
        for draw in range(10)
    }
    assert len(values) == 100


@pytest.mark.parametrize(
    "given",
    [
        FloatRange(low=0, high=0.4, step=0.1),
        IntRange(low=1, high=5),
        IntRange(low=10, high=50, step=10),
    ],
)
def test_with_steps_every_value_is_equally_likely_ends_included(given):
    counts = Counter(draws(given, 2500))
    assert len(counts) == 5
    # 500 expected, standard deviation 20
    assert all(400 < count < 600 for count in counts.values())


def test_on_a_log_scale_every_decade_is_equally_likely():
    values = draws(FloatRange(low=1e-3, high=1, log=True), 3000)
    counts = [sum(10**k <= v < 10 ** (k + 1) for v in values) for k in (-3, -2, -1)]
    assert all(880 < count < 1120 for count in counts)  # 1000 expected, deviation 26


def test_log_integers_follow_the_width_of_their_interval():
    counts = Counter(draws(IntRange(low=1, high=4, log=True), 3000))
    # log(1.5/0.5), log(2.5/1.5), log(3.5/2.5), log(4.5/3.5) over log(9)
    for value, share in zip((1, 2, 3, 4), (0.5, 0.2325, 0.1531, 0.1144), strict=True):
        assert abs(counts[value] / 3000 - share) < 0.04


def test_every_choice_is_equally_likely():
    counts = Counter(draws(Choice(choices=(16, 32, 64, 128)), 2000))
    assert all(400 < count < 600 for count in counts.values())
    assert len(counts) == 4
