"""The mirror of rung values."""

import math
import random

import pytest

from tuner.search.curves import Among, Curves
from tuner.study.report import RungValue
from tuner.study.trial import Direction


def rung(number: int, value: float, step: int = 3, complete: bool = False) -> RungValue:
    return RungValue(step=step, number=number, value=value, place=number, is_complete=complete)


def parity(place: int) -> int:
    return place % 2


def test_adding_twice_changes_nothing_and_the_first_value_stays():
    curves = Curves()
    curves.add([rung(0, 0.5), rung(1, 0.25)])
    curves.add([rung(1, 0.25), rung(0, 0.9)])
    assert list(curves.at(3)) == [0.25, 0.5]
    assert curves.of(3, 0) == 0.5
    assert curves.of(3, 2) is None
    assert list(curves.at(9)) == []


@pytest.mark.parametrize("batch", [1, 10, 1000])
def test_values_are_sorted_however_they_arrive(batch):
    rng = random.Random(batch)
    values = [rung(number, rng.choice([rng.random(), 0.5, math.inf])) for number in range(1000)]
    curves = Curves()
    for start in range(0, 1000, batch):
        curves.add(values[start : start + batch])
    assert list(curves.at(3)) == sorted(value.value for value in values)


def test_steps_do_not_mix():
    curves = Curves()
    curves.add([rung(0, 0.5, step=1), rung(0, 0.25, step=3)])
    assert list(curves.at(1)) == [0.5]
    assert list(curves.at(3)) == [0.25]


def test_not_a_number_has_no_rank():
    curves = Curves()
    curves.add([rung(0, math.nan), rung(1, 1.0)])
    assert list(curves.at(3)) == [1.0]


def test_only_strictly_better_values_count():
    curves = Curves()
    curves.add([rung(number, value) for number, value in enumerate([1.0, 2.0, 2.0, 3.0])])
    assert curves.n_better(3, 2.0, Direction.MINIMIZE) == 1
    assert curves.n_better(3, 2.0, Direction.MAXIMIZE) == 1
    assert curves.n_better(3, 2.5, Direction.MINIMIZE) == 3
    assert curves.n_better(3, 2.5, Direction.MAXIMIZE) == 1
    assert curves.n_better(1, 2.5, Direction.MAXIMIZE) == 0


def test_values_of_complete_trials_are_a_book_of_their_own():
    curves = Curves()
    curves.add([rung(0, 0.5), rung(0, 0.25, complete=True), rung(1, 0.75, complete=True)])
    assert list(curves.at(3)) == [0.5]
    assert list(curves.at(3, complete=True)) == [0.25, 0.75]
    assert curves.of(3, 1) is None
    assert curves.of(3, 1, complete=True) == 0.75
    assert curves.n_better(3, 0.5, Direction.MINIMIZE, complete=True) == 1


@pytest.mark.parametrize("complete", [False, True])
def test_a_group_holds_the_values_of_its_places_however_they_arrive(complete):
    rng = random.Random(1)
    values = [rung(number, rng.random(), complete=complete) for number in range(300)]
    curves = Curves()
    for start in range(0, 300, 100):
        curves.add(values[start : start + 100])
        for place in (0, 1):
            among = Among(partition=parity, place=place)
            expected = sorted(v.value for v in values[: start + 100] if v.place % 2 == place)
            assert list(curves.at(3, complete=complete, among=among)) == expected
            assert list(curves.at(3, complete=not complete, among=among)) == []
            middle = expected[len(expected) // 2]
            n_better = curves.n_better(
                3, middle, Direction.MINIMIZE, complete=complete, among=among
            )
            assert n_better == len(expected) // 2
