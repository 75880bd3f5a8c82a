"""Random search: every suggestion is a function of (study seed, draw)."""

import math

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.space import Distributions, choose_params, step_value
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import Suggestion
from tuner.study.trial import ParamValue


class RandomSampler:
    """Uniform in every range, independently; log ranges on a logarithmic scale.

    Each parameter has its own address (seed, draw, name): adding one to the space leaves the
    values of the others as they were.
    """

    def __init__(self, *, seed: int, distributions: Distributions) -> None:
        self._seed = seed
        self._distributions = distributions

    def suggest(self, draw: int) -> Suggestion:
        """Return the params of a draw, from 0: the same on every machine."""

        def choose(name: str, distribution: BaseDistribution) -> ParamValue:
            return draw_value(distribution, derive_seed(self._seed, "draw", draw, name))

        return Suggestion(params=choose_params(self._distributions, choose))

    def n_draws(self) -> int | None:
        return None


def draw_value(distribution: BaseDistribution, seed: int) -> ParamValue:
    """Draw a value as a pure function of the seed; with steps every value is equally likely."""
    generator = np.random.Generator(np.random.PCG64(seed))
    match distribution:
        case CategoricalDistribution():
            chosen: ParamValue = distribution.choices[generator.integers(len(distribution.choices))]
            return chosen
        case FloatDistribution():
            return _draw_float(distribution, generator)
        case IntDistribution():
            return _draw_int(distribution, generator)
        case _:
            raise ValueError(f"cannot draw from {distribution!r}")


def _draw_float(distribution: FloatDistribution, generator: np.random.Generator) -> float:
    low, high = distribution.low, distribution.high
    if distribution.step is not None:
        n_steps = round((high - low) / distribution.step)
        return step_value(distribution, int(generator.integers(n_steps + 1)))
    if distribution.log:
        value = math.exp(_between(math.log(low), math.log(high), generator))
    else:
        value = _between(low, high, generator)
    return min(max(value, low), high)  # exp(log(x)) may miss x by a rounding error


def _draw_int(distribution: IntDistribution, generator: np.random.Generator) -> int:
    low, high = distribution.low, distribution.high
    if not distribution.log:
        n_steps = (high - low) // distribution.step
        return low + distribution.step * int(generator.integers(n_steps + 1))
    # As Optuna does: each integer owns the interval of half a step around it, on the log scale.
    value = round(math.exp(_between(math.log(low - 0.5), math.log(high + 0.5), generator)))
    return min(max(value, low), high)


def _between(low: float, high: float, generator: np.random.Generator) -> float:
    return low + float(generator.random()) * (high - low)
