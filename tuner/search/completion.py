"""The missing params of a trial that was enqueued with only some of them."""

from optuna.distributions import BaseDistribution

from tuner.search.samplers.random import draw_value
from tuner.space import Distributions, choose_params, fitting_params
from tuner.study.seeds import derive_seed
from tuner.study.trial import Params, ParamValue


def complete(
    seed: int, number: int, fixed: Params, distributions: Distributions
) -> dict[str, ParamValue]:
    """Return the params of trial `number` that apply: fixed ones that fit, others at random.

    A pure function of the study's seed, the number and the fixed params, whatever the sampler:
    every agent completes the trial in the same way.
    """
    kept = fitting_params(fixed, distributions)

    def choose(name: str, distribution: BaseDistribution) -> ParamValue:
        if name in kept:
            return kept[name]
        return draw_value(distribution, derive_seed(seed, "complete", number, name))

    return choose_params(distributions, choose)
