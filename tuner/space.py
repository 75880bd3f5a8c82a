"""The search space in Optuna's terms, exact and reversible."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from tuner.study.trial import Params, ParamValue
from tuner.study_file.model import Choice, FloatRange, IntRange, Range, SearchSpace

Distributions = Mapping[str, BaseDistribution]


@dataclass(frozen=True, kw_only=True)
class ParamRow:
    """One row of Optuna's `trial_params`."""

    name: str
    value: float  # Optuna's internal representation; of a choice its index
    distribution_json: str


def to_distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Optuna's distribution of every parameter, in the space's order."""
    return {name: _to_distribution(given) for name, given in space.items()}


def _to_distribution(given: Range) -> BaseDistribution:
    match given:
        case FloatRange():
            return FloatDistribution(given.low, given.high, log=given.log, step=given.step)
        case IntRange():
            return IntDistribution(given.low, given.high, log=given.log, step=given.step)
        case Choice():
            return CategoricalDistribution(given.choices)


def from_distributions(distributions: Distributions) -> dict[str, Range]:
    """The search space that `to_distributions` turns into these."""
    return {name: _from_distribution(given) for name, given in distributions.items()}


def _from_distribution(given: BaseDistribution) -> Range:
    match given:
        case FloatDistribution():
            return FloatRange(low=given.low, high=given.high, log=given.log, step=given.step)
        case IntDistribution():
            return IntRange(low=given.low, high=given.high, log=given.log, step=given.step)
        case CategoricalDistribution():
            return Choice(choices=given.choices)
        case _:
            raise ValueError(f"no range corresponds to {given!r}")


def encode_params(params: Params, distributions: Distributions) -> list[ParamRow]:
    """The rows of a trial's params, in the space's order; every param must lie in the space."""
    return [
        ParamRow(
            name=name,
            value=float(distribution.to_internal_repr(params[name])),
            distribution_json=encode_distribution(distribution),
        )
        for name, distribution in distributions.items()
        if name in params
    ]


def decode_param(distribution_json: str, value: float) -> ParamValue:
    """The value of a row of `trial_params`."""
    decoded: ParamValue = _decode_distribution(distribution_json).to_external_repr(value)
    return decoded


def encode_distribution(distribution: BaseDistribution) -> str:
    """Optuna's JSON text of a distribution."""
    choices = getattr(distribution, "choices", ())
    return _encode(distribution, tuple(type(choice) for choice in choices))


@lru_cache(maxsize=4096)
def _encode(distribution: BaseDistribution, types: tuple[type, ...]) -> str:
    """Cached by the types of choices too: Optuna holds (1, 0) and (True, False) for equal."""
    return distribution_to_json(distribution)


@lru_cache(maxsize=4096)
def _decode_distribution(distribution_json: str) -> BaseDistribution:
    return json_to_distribution(distribution_json)


def fitting_params(params: Params, distributions: Distributions) -> dict[str, ParamValue]:
    """Those params that the space knows and whose values lie in it, in the space's order."""
    fitted: dict[str, ParamValue] = {}
    for name, distribution in distributions.items():
        if name in params and is_inside(distribution, params[name]):
            fitted[name] = distribution.to_external_repr(
                distribution.to_internal_repr(params[name])
            )
    return fitted


def is_inside(distribution: BaseDistribution, value: ParamValue) -> bool:
    """True when the distribution can give this value; `true` is no number, 3.0 is an int."""
    if isinstance(distribution, CategoricalDistribution):
        return any(type(c) is type(value) and c == value for c in distribution.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(distribution, IntDistribution):
        return _is_on_int_grid(distribution, value)
    assert isinstance(distribution, FloatDistribution)
    if not distribution.low <= value <= distribution.high:  # false for NaN
        return False
    if distribution.step is None:
        return True
    n_steps = (value - distribution.low) / distribution.step
    return abs(n_steps - round(n_steps)) < 1e-8  # Optuna's tolerance


def _is_on_int_grid(distribution: IntDistribution, value: float) -> bool:
    if not distribution.low <= value <= distribution.high:  # false for NaN
        return False
    return value == int(value) and (int(value) - distribution.low) % distribution.step == 0


def step_value(distribution: FloatDistribution, index: int) -> float:
    """The value `index` steps above low, in decimal arithmetic: 0.3, not 0.30000000000000004."""
    assert distribution.step is not None
    low, step = Decimal(str(distribution.low)), Decimal(str(distribution.step))
    return min(float(low + index * step), distribution.high)
