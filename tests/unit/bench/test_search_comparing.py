"""Paired differences of the bench of searches, their bootstrap, and ranks."""

import statistics

import pytest

from tests.bench.search.comparing import (
    bootstrap,
    mean_ranks,
    null_differences,
    paired_differences,
    spreads_of,
)
from tests.bench.search.records import Cell, Search
from tests.bench.search.report import best, render


def search(contender: str, seed: int, value: float | None, data: str = "digits") -> Search:
    bests = [] if value is None else [(100, 1.0, value)]
    return Search(
        cell=Cell(seed=seed, in_flight=8, data=data, contender=contender),
        n_epochs=2700,
        n_trials=10,
        training_seconds=1.0,
        suggesting_seconds=1.0,
        bests=bests,
        best_trial=None,
        confirmed=None,
        commit="",
    )


def searches(contender: str, *values: float | None, data: str = "digits") -> list[Search]:
    return [search(contender, seed, value, data) for seed, value in enumerate(values)]


def test_differences_are_in_deviations_of_the_baseline():
    baseline = searches("tpe", 1.0, 2.0, 3.0) + searches("tpe", 10.0, 20.0, 30.0, data="wine")
    mine = searches("mixed", 0.5, 2.0, 2.0) + searches("mixed", 5.0, data="wine")
    found = paired_differences(mine, baseline, Search.best_at)
    assert found == {"digits": [-0.5, 0.0, -1.0], "wine": [-0.5]}


def test_only_whole_pairs_with_a_spread_count():
    baseline = searches("tpe", 1.0, None, 3.0) + searches("tpe", 7.0, 7.0, data="wine")
    mine = searches("mixed", None, 1.0, 2.0, 2.0) + searches("mixed", 5.0, 6.0, data="wine")
    found = paired_differences(mine, baseline, Search.best_at)
    assert found == {"digits": [pytest.approx(-1 / statistics.stdev([1.0, 3.0]))]}


def test_seeds_and_not_places_make_pairs():
    baseline = searches("tpe", 1.0, 2.0, 3.0)
    found = paired_differences(searches("tpe", 1.0, 2.0, 3.0)[::-1], baseline, Search.best_at)
    assert found == {"digits": [0.0, 0.0, 0.0]}


def test_the_null_comparison_finds_nothing():
    baseline = searches("tpe", 3.0, 1.0, 2.0, 6.0)
    found = null_differences(baseline, Search.best_at)
    assert sum(found["digits"]) == pytest.approx(0)
    assert len(found["digits"]) == 4
    assert max(map(abs, found["digits"])) > 1


def test_the_bootstrap_holds_the_mean_and_narrows():
    few = bootstrap({"digits": [1.0, -1.0, 2.0, 0.0], "wine": [0.5, 1.5]})
    many = bootstrap({"digits": [1.0, -1.0, 2.0, 0.0] * 25, "wine": [0.5, 1.5] * 25})
    assert few is not None
    assert many is not None
    assert few.mean == many.mean == pytest.approx(4 / 6)
    assert few.low < few.mean < few.high
    assert few.n == 6
    assert many.half_width < few.half_width / 3


def test_the_bootstrap_keeps_the_data_sets_apart():
    # All of the spread is between the data sets: whatever pairs are drawn, the mean is the same.
    interval = bootstrap({"digits": [1.0] * 5, "wine": [3.0] * 5})
    assert interval is not None
    assert (interval.low, interval.mean, interval.high) == (2.0, 2.0, 2.0)


def test_no_pairs_have_no_interval():
    assert bootstrap({}) is None
    assert bootstrap({"digits": []}) is None


def test_one_search_has_no_spread():
    assert spreads_of(searches("tpe", 1.0), Search.best_at) == {}


def test_ranks_need_all_contenders_and_share_ties():
    runs = searches("a", 1.0, 5.0, 1.0) + searches("b", 1.0, 4.0) + searches("c", 3.0, 3.0)
    assert mean_ranks(runs, Search.best_at) == {"a": 2.25, "b": 1.75, "c": 2.0}


def test_a_search_that_has_nothing_yet_counts_with_its_first_value():
    assert best(0.5, search("tpe", 0, 1.5)) == 1.5
    assert best(0.01, search("tpe", 0, 1.5)) == 1.5  # after 27 of 2,700 epochs; it came after 100
    assert best(1.0, search("tpe", 0, None)) is None


def test_one_pair_of_a_data_set_gives_no_interval():
    interval = bootstrap({"digits": [1.0, 2.0, 3.0], "wine": [1.0]})
    assert interval is not None
    assert not interval.is_known
    found = searches("tpe", 1.0, 2.0, 3.0) + searches("mixed", 0.5)
    assert "| mixed | 1 | -0.50 [?] |" in render(found, "tpe", 2700)


def test_few_pairs_have_the_width_of_their_standard_error():
    interval = bootstrap({"digits": [-1.0, -1.0, 1.0, 1.0]})
    assert interval is not None
    # the deviation of the mean is sqrt(4 / 3) / sqrt(4), and 0.5 without the correction
    assert interval.half_width > 0.9


def test_the_unit_can_be_pooled_over_contenders_around_their_means():
    baseline = searches("tpe", 1.0, 2.0, 3.0)  # a variance of 1
    mine = searches("mixed", 10.0, 16.0, 22.0)  # and of 36
    everything = [*baseline, *mine]
    assert spreads_of(everything, Search.best_at) == {("digits", 8): pytest.approx(18.5**0.5)}
    found = paired_differences(mine, baseline, Search.best_at, everything)
    assert found["digits"] == pytest.approx([9 / 18.5**0.5, 14 / 18.5**0.5, 19 / 18.5**0.5])
