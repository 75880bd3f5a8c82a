"""The language of conditions on trials: `--where`, `--state` and `--sort`, and a page's filter."""

import difflib
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tuner.errors import UsageError
from tuner.results import old_names
from tuner.study.trial import TRIAL_STATES, TrialState
from tuner.study_file.text.faults import listed, quote
from tuner.study_file.text.yaml_text import core_value

_LARGEST = 10**300
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


def parse_condition(text: str) -> Condition:
    """Parse `name op value`, where op is one of < <= > >= = !=.

    Raises `UsageError` with the position of the fault.
    """
    name = _NAME.match(text)
    if name is None:
        raise condition_fault(text, 0, "expected a name, as in learning_rate<1e-3")
    sign = _OPERATOR.match(text, name.end())
    if sign is None:
        raise condition_fault(text, name.end(), "expected one of < <= > >= = !=")
    written = text[sign.end() :].strip()
    if not written:
        raise condition_fault(text, len(text), "expected a value")
    if len(written) > 1 and written[0] == written[-1] and written[0] in "'\"":
        value: object = written[1:-1]
    else:
        value = _read_value(text, sign.end(), written)
    if name[1] == "state" and sign[1] not in ("=", "==", "!="):
        raise condition_fault(text, name.end(), "a state can be compared with = and != only")
    if sign[1] in ("<", "<=", ">", ">=") and not _is_number(value):
        message = f"{quote(value)} is no number; for text use = or !="
        raise condition_fault(text, sign.end(), message)
    if name[1] == "state" and value is not None:
        value = str(value).upper()
        value = old_names.STATES.get(value, value)
    return Condition(field=name[1], sign=sign[1], value=value, text=text)


def _read_value(text: str, position: int, written: str) -> object:
    """Read the value as YAML; a whole number beyond all floats cannot be compared with them."""
    try:
        value: object = core_value(written)
    except ValueError as error:  # thousands of digits
        raise condition_fault(text, position, "the number is too large") from error
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise condition_fault(text, position, "the number is too large")
    return value


def condition_fault(text: str, position: int, message: str) -> UsageError:
    """Return the error for a condition, with a caret below the position of its fault."""
    shown = quote(text)[1:-1]
    caret = " " * min(position, len(shown)) + "^"
    return UsageError(f"--where, character {position + 1}: {message}\n    {shown}\n    {caret}")


def parse_states(text: str) -> tuple[TrialState, ...]:
    """Parse `COMPLETE,FAIL`, in any case; raises `UsageError`."""
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
    """Parse `value` or `value:desc`; raises `UsageError`."""
    name, _, order = text.partition(":")
    if order not in ("", "asc", "desc") or not name:
        raise UsageError(f"{quote(text)}: write a field, or field:desc")
    return name, order == "desc"


def holds(condition: Condition, found: object) -> bool:
    """Return whether the condition holds for a trial's field; None: the trial lacks it."""
    wanted = condition.value
    if found is None and wanted is not None:
        return False
    if condition.sign in ("<", "<=", ">", ">=") and not _is_number(found):
        return False
    if isinstance(found, bool) != isinstance(wanted, bool):
        return condition.sign == "!="  # `true` is no number
    return bool(_OPERATORS[condition.sign](found, wanted))


def order(values: Sequence[object], *, descending: bool) -> list[int]:
    """Return places in order: numbers before text, then trials without the field; ties stay."""
    numbers = [(v, i) for i, v in enumerate(values) if _is_number(v) and v == v]
    texts = [(str(v), i) for i, v in enumerate(values) if v is not None and not _is_number(v)]
    absent = [i for i, v in enumerate(values) if v is None or (_is_number(v) and v != v)]
    parts = (
        [i for _, i in sorted(part, key=lambda pair: pair[0], reverse=descending)]
        for part in (numbers, texts)
    )
    return [place for part in parts for place in part] + absent


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
