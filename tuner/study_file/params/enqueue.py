"""`enqueue:`: the first trials of a study, with all or some params."""

from collections.abc import Collection, Mapping

from tuner.study.trial import ParamValue
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, SearchSpace, When
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.items import Item, read_entries, read_list, warn_of_text
from tuner.study_file.text.yaml_nodes import ScalarNode

MAX_ENQUEUED = 10_000
_WANTED = "must be a list of mappings, such as [{learning_rate: 0.1}]"


def read_enqueue(
    item: Item | None, space: SearchSpace | None, refused: Collection[str] = ()
) -> tuple[Mapping[str, ParamValue], ...]:
    """Read the trials; report faults for params outside the search space.

    `refused` are params whose ranges have faults: their values are not checked.
    """
    items = read_list(item, _WANTED) if item is not None else None
    if item is not None and items is not None and len(items) > MAX_ENQUEUED:
        item.fault(f"holds {len(items):,} trials; at most {MAX_ENQUEUED:,}")
        return ()
    return tuple(_read_trial(entry, space or {}, refused) for entry in items or ())


def _read_trial(item: Item, space: SearchSpace, refused: Collection[str]) -> dict[str, ParamValue]:
    params: dict[str, ParamValue] = {}
    for name, entry in (read_entries(item, "must be a mapping of params") or {}).items():
        if name not in space:
            guess = did_you_mean(name, space) or f"; searched are {listed(space)}"
            if space and name not in refused:
                entry.key_fault(f"is not in the search space{guess}")
        elif not isinstance(entry.node, ScalarNode):
            entry.fault("must be one value")
        else:
            value, fault = fit_value(space[name], entry.node.value)
            if fault:
                entry.fault(fault)
            else:
                params[name] = value
                given = space[name]
                warn_of_text(entry, given.choices if isinstance(given, Choice) else ())
    for name in params:
        when = space[name].when
        if when is None or is_met(when, params):
            continue
        where = f"{name} applies only where {when.parameter} is {listed(map(quote, when.values))}"
        is_given = when.parameter in params
        item.fault(f"{where}; {'remove it' if is_given else f'give {when.parameter} as well'}")
    return params


def is_met(when: When, params: Mapping[str, ParamValue]) -> bool:
    """Return whether the params meet the condition."""
    if when.parameter not in params:
        return False
    value = params[when.parameter]
    return any(type(given) is type(value) and given == value for given in when.values)


def fit_value(given: Range, value: ParamValue) -> tuple[ParamValue, str]:
    """Return the value in the range's own type, and its fault or nothing."""
    match given:
        case Choice():
            for choice in given.choices:
                if type(choice) is type(value) and choice == value:
                    return choice, ""
            if (
                isinstance(value, int)
                and not isinstance(value, bool)
                and float(value)
                in [choice for choice in given.choices if isinstance(choice, float)]
            ):
                return float(value), ""
            return None, f"{quote(value)} is not among {listed(map(quote, given.choices))}"
        case FloatRange() | IntRange():
            return _fit_number(given, value)


def _fit_number(given: FloatRange | IntRange, value: ParamValue) -> tuple[ParamValue, str]:
    kind = "a number" if isinstance(given, FloatRange) else "a whole number"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(given, IntRange) and float(value) % 1):  # type: ignore[arg-type]
        return None, f"must be {kind} from {given.low} to {given.high}, not {quote(value)}"
    assert isinstance(value, int | float)
    if not given.low <= value <= given.high:
        return None, f"{quote(value)} is outside of {given.low} to {given.high}"
    if given.step is not None:
        n_steps = (value - given.low) / given.step
        if abs(n_steps - round(n_steps)) > 1e-8:
            return None, f"{quote(value)} is no multiple of step {given.step} above {given.low}"
    return (float(value) if isinstance(given, FloatRange) else int(value)), ""
