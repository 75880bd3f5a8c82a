"""What the rest of a budget is likely to bring."""

import numpy as np
import pytest

from tuner.study.limits import Limits, Used
from tuner.study.outlook import MIN_VALUES, expect_complete, find_outlook
from tuner.study.trial import Direction

USED = Used(trials=50, steps=400, seconds=60.0, device_seconds=100.0, best=0.25)


@pytest.mark.parametrize("n", [40, 200])
def test_the_chance_of_a_new_best_is_about_right_for_independent_values(n: int) -> None:
    rng = np.random.default_rng(3)
    chances, hits = [], []
    for _ in range(300):
        values = rng.gamma(3.0, size=2 * n)
        found = find_outlook(values[:n].tolist(), Direction.MAXIMIZE, n_left=n, noise=None)
        assert found is not None
        chances.append(found.chance)
        hits.append(values[n:].max() > values[:n].max())
    assert np.mean(hits) == pytest.approx(0.5, abs=0.08)
    assert np.mean(chances) == pytest.approx(0.5, abs=0.12)


def test_noise_and_an_outlier_make_an_improvement_less_likely() -> None:
    values = np.random.default_rng(3).gamma(3.0, size=60).tolist()
    direction = Direction.MINIMIZE

    def chance(values: list[float], noise: float | None = None) -> float:
        found = find_outlook(values, direction, n_left=30, noise=noise)
        assert found is not None
        return found.chance

    assert chance(values, 0.3) < chance(values) - 0.1
    assert chance([*values, -3.0]) < 0.2
    assert find_outlook([1.0] * 30, direction, n_left=30, noise=None).chance == 0  # type: ignore[union-attr]


def test_a_search_that_still_improves_has_a_good_outlook() -> None:
    values = [1 / (1 + n) for n in range(60)]
    found = find_outlook(values, Direction.MINIMIZE, n_left=30, noise=None)
    assert found is not None
    assert found.chance > 0.6
    assert not found.is_unlikely
    assert found.sentence.startswith("73 % chance")


def test_few_values_have_no_outlook() -> None:
    values = [float(n) for n in range(MIN_VALUES - 1)]
    assert find_outlook(values, Direction.MINIMIZE, n_left=9, noise=None) is None


def test_the_limit_that_is_used_most_tells_how_many_trials_are_left() -> None:
    assert expect_complete(10, Limits(trials=100), USED) == 10
    assert expect_complete(10, Limits(trials=100, steps=500), USED) == 2.5
    assert expect_complete(10, Limits(trials=50), USED) == 0
    assert expect_complete(10, Limits(target=0.1), USED) is None
