"""Names of places, and the GPUs or shares of the CPU that they count as."""

from collections.abc import Sequence

import pytest

from tuner.study.places import count_units, name_place, place_of


@pytest.mark.parametrize(
    ("indices", "name"),
    [
        ([0], "gpu:0"),
        (range(4), "gpu:0-3"),
        ([6, 7], "gpu:6-7"),
        ([0, 2], "gpu:0+2"),
        ([3, 1], "gpu:3+1"),
        ([0, 1, 2, 10], "gpu:0+1+2+10"),
    ],
)
def test_a_name_has_the_indices_of_its_devices(indices: Sequence[int], name: str) -> None:
    assert name_place("gpu", indices) == name
    assert count_units([name]) == len(indices)


def test_workers_of_one_place_use_the_same_devices() -> None:
    assert place_of("gpu:0-1#3") == "gpu:0-1"
    assert count_units(["gpu:0#0", "gpu:0#1", "gpu:1#0"]) == 2
    assert count_units(["gpu:0-3", "gpu:4-7", "gpu:0-3"]) == 8
    assert count_units([]) == 0


@pytest.mark.parametrize(
    "name", ["gpu:0/mig:1", "cpu:17", "", "gpu:0-99999999999999", "new", "a-b"]
)
def test_any_other_name_counts_as_one(name: str) -> None:
    assert count_units([name]) == 1
