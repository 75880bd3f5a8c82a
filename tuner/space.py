"""The search space in Optuna's terms, exact and reversible, with its conditions."""

from collections.abc import Callable, Iterable, Mapping
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
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, SearchSpace, When

Distributions = Mapping[str, BaseDistribution]


class ConditionalDistributions(dict[str, BaseDistribution]):
    """The distributions of all parameters, and the conditions of some.

    It equals a plain mapping of the same distributions, so that code without conditions can ignore
    them; `applying` and `choose_params` apply them.
    """

    def __init__(
        self, distributions: Distributions, conditions: Mapping[str, When] | None = None
    ) -> None:
        super().__init__(distributions)
        self.conditions = dict(conditions or {})
        # Parents before children: the roots, then the parameters that depend on them.
        self.order = tuple(sorted(self, key=self._depth))

    def _depth(self, name: str) -> int:
        depth = 0
        while name in self.conditions:
            name, depth = self.conditions[name].parameter, depth + 1
            assert depth <= len(self), "the study file refuses conditions that go in a circle"
        return depth

    def holds(self, name: str, chosen: Params) -> bool:
        """Return whether a parameter applies, given those that were chosen before it."""
        condition = self.conditions.get(name)
        if condition is None:
            return True
        if condition.parameter not in chosen:
            return False
        value = chosen[condition.parameter]
        return any(type(given) is type(value) and given == value for given in condition.values)


@dataclass(frozen=True, kw_only=True)
class ParamRow:
    """One row of Optuna's `trial_params`."""

    name: str
    value: float  # Optuna's internal representation; of a choice its index
    distribution_json: str


def to_distributions(space: SearchSpace) -> ConditionalDistributions:
    """Return Optuna's distributions with their conditions, in the space's order."""
    return ConditionalDistributions(
        {name: _to_distribution(given) for name, given in space.items()},
        {name: given.when for name, given in space.items() if given.when is not None},
    )


def with_conditions(distributions: Distributions) -> ConditionalDistributions:
    """Return the same; a plain mapping has no conditions."""
    if isinstance(distributions, ConditionalDistributions):
        return distributions
    return ConditionalDistributions(distributions)


def choose_params(
    distributions: Distributions, choose: Callable[[str, BaseDistribution], ParamValue]
) -> dict[str, ParamValue]:
    """Choose one trial's params, in the space's order: exactly those that apply.

    `choose` is called for the value of each, parents before children.
    """
    space = with_conditions(distributions)
    chosen: dict[str, ParamValue] = {}
    for name in space.order:
        if space.holds(name, chosen):
            chosen[name] = choose(name, space[name])
    return in_order(space, chosen)


def applying(distributions: Distributions, params: Params) -> tuple[str, ...]:
    """Return the parameters that apply under these params, in the space's order.

    One whose parent is missing does not apply.
    """
    space = with_conditions(distributions)
    if not space.conditions:
        return tuple(space)
    known: dict[str, ParamValue] = {}
    names = set()
    for name in space.order:
        if space.holds(name, known):
            names.add(name)
            if name in params:
                known[name] = params[name]
    return tuple(name for name in space if name in names)


def in_order(names: Iterable[str], params: Params) -> dict[str, ParamValue]:
    """Return the params in the order of `names`, which may hold more."""
    return {name: params[name] for name in names if name in params}


def _to_distribution(given: Range) -> BaseDistribution:
    match given:
        case FloatRange():
            return FloatDistribution(given.low, given.high, log=given.log, step=given.step)
        case IntRange():
            return IntDistribution(given.low, given.high, log=given.log, step=given.step)
        case Choice():
            return CategoricalDistribution(given.choices)


def encode_params(params: Params, distributions: Distributions) -> list[ParamRow]:
    """Return the rows of a trial's params, in the space's order; all must be in the space."""
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
    """Return the value of a row of `trial_params`."""
    decoded: ParamValue = _decode_distribution(distribution_json).to_external_repr(value)
    return decoded


def encode_distribution(distribution: BaseDistribution) -> str:
    """Return Optuna's JSON text of a distribution."""
    choices = getattr(distribution, "choices", ())
    return _encode(distribution, tuple(type(choice) for choice in choices))


@lru_cache(maxsize=4096)
def _encode(distribution: BaseDistribution, types: tuple[type, ...]) -> str:
    """Encode with a cache by the choices' types too:

    Optuna takes (1, 0) and (True, False) as equal.
    """
    return distribution_to_json(distribution)


@lru_cache(maxsize=4096)
def _decode_distribution(distribution_json: str) -> BaseDistribution:
    return json_to_distribution(distribution_json)


def fitting_params(params: Params, distributions: Distributions) -> dict[str, ParamValue]:
    """Return the params that the space has, with values inside it, and that apply together.

    They are in the space's order. A parameter with a condition fits only together with its parent:
    alone it might meet a parent's value under which it has no meaning.
    """
    space = with_conditions(distributions)
    fitted: dict[str, ParamValue] = {}
    for name in space.order:
        inside = name in params and is_inside(space[name], params[name])
        if inside and space.holds(name, fitted):
            distribution = space[name]
            fitted[name] = distribution.to_external_repr(
                distribution.to_internal_repr(params[name])
            )
    return in_order(space, fitted)


def only_value(distribution: BaseDistribution) -> ParamValue:
    """Return the value of a distribution that has a single one."""
    if isinstance(distribution, CategoricalDistribution):
        choice: ParamValue = distribution.choices[0]
        return choice
    low: ParamValue = distribution.low  # type: ignore[attr-defined]
    return low


def is_inside(distribution: BaseDistribution, value: ParamValue) -> bool:
    """Return whether the distribution can give this value; `true` is no number, 3.0 is an int."""
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
    """Return the value `index` steps above low in decimal arithmetic:

    0.3, not 0.30000000000000004.
    """
    assert distribution.step is not None
    low, step = Decimal(str(distribution.low)), Decimal(str(distribution.step))
    return min(float(low + index * step), distribution.high)
