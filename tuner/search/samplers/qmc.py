"""Quasi-random search: points that fill the space more evenly than random ones."""

import math
from typing import Any, Literal

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


class QmcSampler:
    """Point `draw` of a Sobol or Halton sequence, scrambled by the study's seed.

    Sources: Sobol, "On the distribution of points in a cube", 1967; Owen, "Scrambling Sobol' and
    Niederreiter-Xing points", 1998; Bergstra and Bengio, "Random Search for Hyper-Parameter
    Optimization", JMLR 2012; `scipy.stats.qmc`. As in Optuna's `QMCSampler` (5.0), a choice takes
    one coordinate, cut into equal parts.

    Deliberate differences from Optuna's:

    - The index in the sequence is the draw. Optuna counts in an attribute of the study, which
      simultaneous machines read twice.
    - Params with conditions have coordinates too, which count when the condition holds. Optuna
      draws them at random and warns.
    - The first trial is the sequence's first point; Optuna's is a random one. Scrambled by default:
      without it, the first point is the lowest corner of the space.
    """

    def __init__(
        self,
        *,
        seed: int,
        distributions: Distributions,
        qmc_type: Literal["sobol", "halton"],
        scramble: bool,
    ) -> None:
        self._seed = derive_seed(seed, "qmc")
        self._distributions = distributions
        self._qmc_type = qmc_type
        self._scramble = scramble
        from scipy.stats import qmc  # noqa: PLC0415 - takes 0.9 s

        self._engines: Any = qmc

    def suggest(self, draw: int) -> Suggestion:
        """Return the params of a draw, from 0: the same on every machine."""
        point = dict(zip(self._distributions, self._point(draw), strict=True))

        def choose(name: str, distribution: BaseDistribution) -> ParamValue:
            return value_at(distribution, point[name])

        return Suggestion(params=choose_params(self._distributions, choose))

    def n_draws(self) -> int | None:
        return None

    def _point(self, draw: int) -> list[float]:
        """Compute a point with a new engine: skipping costs microseconds, and no state is kept."""
        n = len(self._distributions)
        kind = self._engines.Sobol if self._qmc_type == "sobol" else self._engines.Halton
        engine = kind(n, scramble=self._scramble, rng=self._seed)
        if draw > 0:
            engine.fast_forward(draw)
        return [float(coordinate) for coordinate in engine.random(1)[0]]


def value_at(distribution: BaseDistribution, coordinate: float) -> ParamValue:
    """Return the value of a coordinate in [0, 1): equal parts for equal values."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            chosen: ParamValue = choices[_part(coordinate, len(choices))]
            return chosen
        case FloatDistribution(low=low, high=high, step=step) if step is not None:
            return step_value(distribution, _part(coordinate, round((high - low) / step) + 1))
        case FloatDistribution(low=low, high=high, log=log):
            return _between(low, high, coordinate, log=log)
        case IntDistribution(low=low, high=high, log=True):
            # As Optuna does: each integer owns the interval of half a step around it.
            value = round(_between(low - 0.5, high + 0.5, coordinate, log=True))
            return min(max(value, low), high)
        case IntDistribution(low=low, high=high, step=step):
            return low + step * _part(coordinate, (high - low) // step + 1)
        case _:
            raise ValueError(f"cannot place a point in {distribution!r}")


def _part(coordinate: float, n_parts: int) -> int:
    return min(int(coordinate * n_parts), n_parts - 1)


def _between(low: float, high: float, coordinate: float, *, log: bool) -> float:
    if log:
        value = math.exp(math.log(low) + coordinate * (math.log(high) - math.log(low)))
    else:
        value = low + coordinate * (high - low)
    return min(max(value, low), high)  # rounding may leave the range
