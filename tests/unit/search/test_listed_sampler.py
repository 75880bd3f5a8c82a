"""The sampler of a confirmation: each of a list as often as the others."""

from collections import Counter

from tests.integration.stores import make_spec
from tuner.search.catalog import build_sampler
from tuner.search.protocols import DrawSampler
from tuner.study_file.identity import compare_specs, dump_spec, parse_spec, render_differences
from tuner.study_file.model import Algorithm, Confirms


def _linked(seeds=3, trials=(4, 9)):
    confirms = Confirms(
        study="searched",
        study_created_at="then",
        trials=trials,
        params=tuple({"width": 16 * (1 + n)} for n in range(len(trials))),
        seeds=seeds,
    )
    return make_spec(sampler=Algorithm(name="listed"), confirms=confirms)


def test_every_prefix_is_even_and_the_list_ends():
    sampler = build_sampler(_linked())
    assert isinstance(sampler, DrawSampler)
    assert sampler.n_draws() == 6
    drawn = [sampler.suggest(draw).params["width"] for draw in range(6)]
    assert Counter(drawn) == {16: 3, 32: 3}
    assert Counter(drawn[:2]) == {16: 1, 32: 1}


def test_the_list_is_part_of_what_the_study_is():
    spec = _linked()
    assert parse_spec(dump_spec(spec)) == spec
    (difference,) = compare_specs(spec, _linked(seeds=4)).identity
    assert render_differences([difference]) == (
        "confirms: stored trials 4, 9 under 3 seeds, given trials 4, 9 under 4 seeds"
    )
