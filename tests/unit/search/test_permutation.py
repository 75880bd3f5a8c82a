"""The seeded permutation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.search.permutation import Permutation


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_every_index_goes_somewhere_else(n, seed):
    permutation = Permutation(n, seed)
    assert sorted(permutation[index] for index in range(n)) == list(range(n))


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    orders = [[Permutation(48, seed)[index] for index in range(48)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("n", [5, 48, 1000])
def test_the_order_is_shuffled(n):
    order = [Permutation(n, 3)[index] for index in range(n)]
    n_kept = sum(index == place for index, place in enumerate(order))
    assert n_kept < 5  # 1 expected
    assert order != sorted(order)


def test_all_places_are_equally_likely_over_the_seeds():
    counts = [0] * 6
    for seed in range(1200):
        counts[Permutation(6, seed)[0]] += 1
    assert all(140 < count < 260 for count in counts)  # 200 expected, standard deviation 13


@pytest.mark.parametrize("n", [10**12, 10**40 + 7])
def test_a_huge_domain_costs_nothing_up_front(n):
    permutation = Permutation(n, 0)
    places = {permutation[index] for index in range(1000)}
    assert len(places) == 1000
    assert all(0 <= place < n for place in places)
    assert max(places) > n / 2


@pytest.mark.parametrize("n_bits", [1024, 1025, 1100, 5000])
def test_every_bit_of_a_place_varies_however_wide_it_is(n_bits):
    permutation = Permutation(2**n_bits, 0)
    places = [permutation[index] for index in range(64)]
    for bit in range(n_bits):
        n_set = sum(place >> bit & 1 for place in places)
        assert 0 < n_set < len(places), f"bit {bit} stays"


@pytest.mark.parametrize("index", [-1, 7])
def test_an_index_outside_is_our_own_mistake(index):
    with pytest.raises(AssertionError):
        Permutation(7, 0)[index]
