"""Params that a user gives for a trial, checked against the study before anything is written."""

from tuner.errors import UsageError
from tuner.space import fitting_params, is_inside, to_distributions
from tuner.study.trial import Params, ParamValue
from tuner.study_file.model import StudySpec
from tuner.study_file.params.enqueue import is_met
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, SearchSpace
from tuner.study_file.text.faults import did_you_mean, listed, quote


def check_params(given: Params, spec: StudySpec) -> dict[str, ParamValue]:
    """Check whole or partial params of one trial; return them in the space's order.

    Raises `UsageError` with all faults.
    """
    faults = [fault for name, value in given.items() if (fault := _fault(name, value, spec))]
    faults += _unmet_conditions(given, spec.search_space)
    if faults:
        raise UsageError("\n".join(faults))
    return fitting_params(given, to_distributions(spec.search_space))


def _fault(name: str, value: ParamValue, spec: StudySpec) -> str:
    space = spec.search_space
    if name in space:
        is_in = is_inside(to_distributions(space)[name], value)
        return "" if is_in else f"{name}: {quote(value)} is not in {render_range(space[name])}"
    if name in spec.params:
        return f"{name} is fixed at {quote(spec.params[name])} in this study; leave it out"
    guess = did_you_mean(name, space) or f"; the study searches {listed(space)}"
    return f"no searched parameter {quote(name)}{guess}"


def _unmet_conditions(given: Params, space: SearchSpace) -> list[str]:
    faults = []
    for name in given:
        when = space[name].when if name in space else None
        if when is None or is_met(when, given):
            continue
        where = f"{name} applies only where {when.parameter} is {listed(map(quote, when.values))}"
        if when.parameter in given:
            faults.append(f"{where}, not {quote(given[when.parameter])}; leave it out")
        else:
            faults.append(f"{where}; give {when.parameter} as well")
    return faults


def render_range(given: Range) -> str:
    """Render a range for a sentence: `[0.001, 0.1]`, `the choices 'relu', 'tanh'`."""
    match given:
        case Choice():
            return f"the choices {listed(map(quote, given.choices))}"
        case FloatRange():
            step = f" in steps of {given.step:g}" if given.step else ""
            return f"[{given.low:g}, {given.high:g}]{step}"
        case IntRange():
            step = f" in steps of {given.step}" if given.step != 1 else ""
            return f"the whole numbers [{given.low}, {given.high}]{step}"
