"""Quasi-random search."""

import math
from collections import Counter

import pytest
from scipy.stats import qmc

from tuner.search.samplers.qmc import QmcSampler, value_at
from tuner.search.samplers.random import RandomSampler
from tuner.space import is_inside, to_distributions
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, When


def build(space: dict[str, Range], kind: str = "sobol", scramble: bool = True) -> QmcSampler:
    return QmcSampler(
        seed=1,
        distributions=to_distributions(space),
        qmc_type=kind,  # type: ignore[arg-type]
        scramble=scramble,
    )


UNIT: dict[str, Range] = {name: FloatRange(low=0, high=1) for name in "abc"}


@pytest.mark.parametrize("kind", ["sobol", "halton"])
def test_the_sequence_is_that_of_scipy(kind):
    sampler = build(UNIT, kind, scramble=False)
    engine = {"sobol": qmc.Sobol, "halton": qmc.Halton}[kind](3, scramble=False)
    points = [list(point) for point in engine.random(16)]
    assert [list(sampler.suggest(draw).params.values()) for draw in range(16)] == points


@pytest.mark.parametrize("kind", ["sobol", "halton"])
def test_scrambling_is_by_the_seed_and_keeps_the_points_even(kind):
    points = [list(build(UNIT, kind).suggest(draw).params.values()) for draw in range(64)]
    assert points[0] != [0.0, 0.0, 0.0]
    random = RandomSampler(seed=1, distributions=to_distributions(UNIT))
    uneven = [list(random.suggest(draw).params.values()) for draw in range(64)]
    assert qmc.discrepancy(points) < qmc.discrepancy(uneven) / 3


def test_choices_and_steps_are_equally_likely():
    sampler = build(
        {
            "choice": Choice(choices=("a", "b", "c", "d")),
            "step": FloatRange(low=0, high=0.3, step=0.1),
            "int": IntRange(low=10, high=40, step=10),
        }
    )
    draws = [sampler.suggest(draw).params for draw in range(64)]
    for name in ("choice", "step", "int"):
        assert set(Counter(params[name] for params in draws).values()) == {16}


@pytest.mark.parametrize(
    "given",
    [
        FloatRange(low=1e-4, high=1e-1, log=True),
        FloatRange(low=-1e3, high=1e3),
        FloatRange(low=0.1, high=0.7, step=0.2),
        FloatRange(low=0.3, high=0.3),
        IntRange(low=1, high=1000, log=True),
        IntRange(low=-5, high=-5),
        IntRange(low=5, high=50, step=15),
        Choice(choices=(None, True, "x")),
    ],
)
def test_every_coordinate_stands_for_a_value_in_the_range(given):
    distribution = to_distributions({"x": given})["x"]
    ends = (0.0, math.nextafter(1.0, 0.0))
    values = [value_at(distribution, at) for at in (*ends, *(n / 97 for n in range(97)))]
    assert all(is_inside(distribution, value) for value in values)
    if isinstance(given, Choice):
        assert values[:2] == [None, "x"]
    else:
        assert values[:2] == pytest.approx([given.low, given.high])


def test_a_parameter_with_a_condition_keeps_its_coordinate():
    space: dict[str, Range] = {
        "kind": Choice(choices=("with", "without")),
        "a": FloatRange(low=0, high=1, when=When(parameter="kind", values=("with",))),
        "b": FloatRange(low=0, high=1),
    }
    whole = build({name: given.model_copy(update={"when": None}) for name, given in space.items()})
    sampler = build(space)
    for draw in range(16):
        params = dict(whole.suggest(draw).params)
        if params["kind"] == "without":
            del params["a"]
        assert sampler.suggest(draw).params == params
