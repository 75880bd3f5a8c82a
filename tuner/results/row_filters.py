"""Which trials a table shows and in which order: `--where`, `--state`, `--sort`, `--limit`."""

import difflib
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tuner.errors import UsageError
from tuner.results import old_names
from tuner.storage.reading.rows import TrialRow
from tuner.study.trial import TRIAL_STATES, Params, TrialState
from tuner.study_file.faults import listed, quote
from tuner.study_file.yaml_text import core_value

_LARGEST = 10**300
_FIELDS: Mapping[str, Callable[[TrialRow], object]] = {
    "number": lambda trial: trial.number,
    "trial": lambda trial: trial.number,
    "state": lambda trial: trial.state,
    "value": lambda trial: trial.value,
    "steps": lambda trial: trial.n_steps,
    "epochs": lambda trial: trial.n_steps,
    "attempt": lambda trial: trial.attempt,
    "host": lambda trial: trial.host,
    "device": lambda trial: trial.device,
    "device_seconds": lambda trial: trial.device_seconds,
    "reason": lambda trial: trial.reason,
    "failure": lambda trial: trial.failure,
    "retry_of": lambda trial: trial.retry_of,
}
_PARAMS, _ATTRS = "params.", "attrs."
_OPERATORS: Mapping[str, Callable[[object, object], object]] = {
    "<=": lambda a, b: operator.le(a, b),  # type: ignore[arg-type]
    ">=": lambda a, b: operator.ge(a, b),  # type: ignore[arg-type]
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": lambda a, b: operator.lt(a, b),  # type: ignore[arg-type]
    ">": lambda a, b: operator.gt(a, b),  # type: ignore[arg-type]
}
_NAME = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*")
_OPERATOR = re.compile(r"(<=|>=|!=|==|=|<|>)\s*")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """`learning_rate<1e-3`."""

    field: str
    sign: str
    value: object
    text: str


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What of a study's trials is asked for."""

    conditions: Sequence[Condition] = ()
    states: Collection[TrialState] = ()  # empty: all
    sort: str = "number"
    descending: bool = False
    limit: int | None = None


def parse_condition(text: str) -> Condition:
    """`name op value`, where op is one of < <= > >= = !=; raises `UsageError` with the place."""
    name = _NAME.match(text)
    if name is None:
        raise _fault(text, 0, "expected a name, as in learning_rate<1e-3")
    sign = _OPERATOR.match(text, name.end())
    if sign is None:
        raise _fault(text, name.end(), "expected one of < <= > >= = !=")
    written = text[sign.end() :].strip()
    if not written:
        raise _fault(text, len(text), "expected a value")
    if len(written) > 1 and written[0] == written[-1] and written[0] in "'\"":
        value: object = written[1:-1]
    else:
        value = _read_value(text, sign.end(), written)
    if name[1] == "state" and sign[1] not in ("=", "==", "!="):
        raise _fault(text, name.end(), "of a state, = and != can be asked")
    if sign[1] in ("<", "<=", ">", ">=") and not _is_number(value):
        raise _fault(text, sign.end(), f"{quote(value)} is no number; for text use = or !=")
    if name[1] == "state" and value is not None:
        value = str(value).upper()
        value = old_names.STATES.get(value, value)
    return Condition(field=name[1], sign=sign[1], value=value, text=text)


def _read_value(text: str, position: int, written: str) -> object:
    """As YAML has it; a whole number beyond all floats cannot be compared with them."""
    try:
        value: object = core_value(written)
    except ValueError as error:  # thousands of digits
        raise _fault(text, position, "the number is too large") from error
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise _fault(text, position, "the number is too large")
    return value


def _fault(text: str, position: int, message: str) -> UsageError:
    shown = quote(text)[1:-1]
    caret = " " * min(position, len(shown)) + "^"
    return UsageError(f"--where, character {position + 1}: {message}\n    {shown}\n    {caret}")


def parse_states(text: str) -> tuple[TrialState, ...]:
    """`COMPLETE,FAIL`, in any case; raises `UsageError`."""
    return tuple(_parse_state(name.strip().upper()) for name in text.split(","))


def _parse_state(name: str) -> TrialState:
    if name in old_names.STATES:
        return old_names.STATES[name]
    if name in TRIAL_STATES:
        return TrialState(name)
    close = difflib.get_close_matches(name, TRIAL_STATES, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the states are {listed(TRIAL_STATES)}"
    raise UsageError(f"no state {quote(name)}; {hint}")


def parse_sort(text: str) -> tuple[str, bool]:
    """`value` or `value:desc`; raises `UsageError`."""
    name, _, order = text.partition(":")
    if order not in ("", "asc", "desc") or not name:
        raise UsageError(f"{quote(text)}: write a field, or field:desc")
    return name, order == "desc"


def select(
    trials: Sequence[TrialRow], fixed: Params, selection: Selection, searched: Collection[str] = ()
) -> list[TrialRow]:
    """The trials that fit, in order; raises `UsageError` for a field that no trial can have."""
    known = _known_fields(trials, {*searched, *fixed})
    find = partial(_find, fixed=fixed, params=known[_PARAMS])
    for condition in selection.conditions:
        if fault := _field_fault(condition.field, known):
            raise _fault(condition.text, 0, fault)
    if fault := _field_fault(selection.sort, known):
        raise UsageError(f"--sort: {fault}")
    chosen = [
        trial
        for trial in trials
        if (not selection.states or trial.state in selection.states)
        and all(holds(c, find(c.field, trial)) for c in selection.conditions)
    ]
    found = [find(selection.sort, trial) for trial in chosen]
    ordered = [chosen[place] for place in order(found, descending=selection.descending)]
    return ordered[: selection.limit]


def _known_fields(trials: Sequence[TrialRow], searched: Collection[str]) -> Mapping[str, set[str]]:
    """The names that may follow each prefix; the empty one allows all."""
    params = {*searched, *(name for trial in trials for name in trial.params)}
    attrs = {name for trial in trials for name in trial.user_attrs}
    return {_PARAMS: params, _ATTRS: attrs, "": {*_FIELDS, *params, *attrs}}


def _field_fault(field: str, fields: Mapping[str, set[str]]) -> str:
    """What is wrong with the name of a field, or empty."""
    prefixes = [""] if field in fields[_PARAMS] else fields  # a param's whole name comes first
    prefix = next(prefix for prefix in prefixes if field.startswith(prefix))
    name, known = field.removeprefix(prefix), fields[prefix]
    if name in known:
        return ""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    others = listed(sorted(known)) if known else "none"
    hint = f"did you mean {prefix}{close[0]}?" if close else f"known: {others}"
    return f"no field {quote(name)}; {hint}"


def holds(condition: Condition, found: object) -> bool:
    """Whether a trial's field is as asked for; None: the trial lacks it."""
    wanted = condition.value
    if found is None and wanted is not None:
        return False
    if condition.sign in ("<", "<=", ">", ">=") and not _is_number(found):
        return False
    if isinstance(found, bool) != isinstance(wanted, bool):
        return condition.sign == "!="  # `true` is no number
    return bool(_OPERATORS[condition.sign](found, wanted))


def _find(field: str, trial: TrialRow, fixed: Params, params: Collection[str]) -> object:
    """Own fields first, then params, then user attributes; a prefix says which.

    `params` are the names of the study's: one that begins like a prefix is meant by it.
    """
    if field in params and field.startswith((_PARAMS, _ATTRS)):
        return {**fixed, **trial.params}.get(field)
    if field.startswith(_PARAMS):
        return {**fixed, **trial.params}.get(field.removeprefix(_PARAMS))
    if field.startswith(_ATTRS):
        return trial.user_attrs.get(field.removeprefix(_ATTRS))
    if field in _FIELDS:
        return _FIELDS[field](trial)
    return {**trial.user_attrs, **fixed, **trial.params}.get(field)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def order(values: Sequence[object], *, descending: bool) -> list[int]:
    """Places: numbers before text, trials that lack the field last, ties as they come."""
    numbers = [(v, i) for i, v in enumerate(values) if _is_number(v) and v == v]
    texts = [(str(v), i) for i, v in enumerate(values) if v is not None and not _is_number(v)]
    absent = [i for i, v in enumerate(values) if v is None or (_is_number(v) and v != v)]
    parts = (
        [i for _, i in sorted(part, key=lambda pair: pair[0], reverse=descending)]
        for part in (numbers, texts)
    )
    return [place for part in parts for place in part] + absent
