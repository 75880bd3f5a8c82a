"""What the rest of a budget is likely to bring."""

from collections.abc import Sequence

import numpy as np
import pytest

from tuner.study.limits import Limits, Used
from tuner.study.outlook import MIN_VALUES, Outlook, find_outlook
from tuner.study.trial import Direction

USED = Used(trials=50, steps=400, seconds=60.0, device_seconds=100.0, best=None)


def _find(
    values: Sequence[float],
    direction: Direction,
    *,
    n_left: int,
    noise: float | None = None,
    best: float | None = None,
) -> Outlook | None:
    """Find the outlook where every trial was COMPLETE and `n_left` are left."""
    n = len(values)
    return find_outlook(
        values,
        n_complete=n,
        n_open=0,
        limits=Limits(trials=n + n_left),
        used=Used(trials=n, steps=n, seconds=1.0, device_seconds=1.0, best=best),
        direction=direction,
        noise=noise,
    )


@pytest.mark.parametrize("n", [40, 200])
def test_the_chance_of_a_new_best_is_about_right_for_independent_values(n: int) -> None:
    rng = np.random.default_rng(3)
    chances, hits = [], []
    for _ in range(300):
        values = rng.gamma(3.0, size=2 * n)
        found = _find(values[:n].tolist(), Direction.MAXIMIZE, n_left=n)
        assert found is not None
        chances.append(found.chance)
        hits.append(values[n:].max() > values[:n].max())
    assert np.mean(hits) == pytest.approx(0.5, abs=0.08)
    assert np.mean(chances) == pytest.approx(0.5, abs=0.12)


def test_noise_and_an_outlier_make_an_improvement_less_likely() -> None:
    values = np.random.default_rng(3).gamma(3.0, size=60).tolist()
    direction = Direction.MINIMIZE

    def chance(values: list[float], noise: float | None = None) -> float:
        found = _find(values, direction, n_left=30, noise=noise)
        assert found is not None
        return found.chance

    assert chance(values, 0.3) < chance(values) - 0.1
    assert chance([*values, -3.0]) < 0.2
    assert _find([1.0] * 30, direction, n_left=30).chance == 0  # type: ignore[union-attr]


def test_a_search_that_still_improves_has_a_good_outlook() -> None:
    values = [1 / (1 + n) for n in range(60)]
    found = _find(values, Direction.MINIMIZE, n_left=30)
    assert found is not None
    assert found.chance > 0.6
    assert not found.is_unlikely
    assert found.sentence.startswith("73 % chance")


def test_few_values_have_no_outlook() -> None:
    values = [float(n) for n in range(MIN_VALUES - 1)]
    assert _find(values, Direction.MINIMIZE, n_left=9) is None


def test_a_best_value_older_than_the_latest_ones_counts() -> None:
    values = np.random.default_rng(3).gamma(3.0, size=60).tolist()
    chances = [_find(values, Direction.MINIMIZE, n_left=30, best=best) for best in (None, -3.0)]
    assert chances[0] is not None
    assert chances[1] is not None
    assert chances[1].chance < 0.2 < chances[0].chance


def test_values_too_far_apart_to_compare_have_no_outlook() -> None:
    values = [-1.7e308, *[1.7e308] * 29]
    assert _find(values, Direction.MINIMIZE, n_left=9) is None


@pytest.mark.parametrize(
    ("n_complete", "n_open", "limits", "n_left"),
    [
        (10, 0, Limits(trials=100), 10),
        (10, 0, Limits(trials=100, steps=500), 2.5),
        (10, 0, Limits(trials=50), 0),
        (10, 10, Limits(trials=50), 2.5),  # those in training are still to come
        (10, 10, Limits(trials=90), 12.5),
        (10, 10, Limits(trials=40), 2.5),
        (10, 0, Limits(target=0.1), None),
    ],
)
def test_the_limit_that_leaves_least_decides_how_many_trials_are_to_come(
    n_complete: int, n_open: int, limits: Limits, n_left: float | None
) -> None:
    found = find_outlook(
        [1.0] * MIN_VALUES,
        n_complete=n_complete,
        n_open=n_open,
        limits=limits,
        used=USED,
        direction=Direction.MINIMIZE,
    )
    assert n_left == (found and found.n_left)
