"""Which trials of a table are asked for, on columns: for pages of studies with 100,000 trials."""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.errors import UsageError
from tuner.results.row_filters import Condition, holds, order
from tuner.results.trial_fields import MoreFields, NoFields
from tuner.results.trial_table import FAIL, Mask, ParamTable, TrialTable
from tuner.storage.reading.columns import STATES, Floats, Ints
from tuner.study.trial import ParamValue, TrialState
from tuner.study_file.faults import listed, quote

_NUMBERS = ("number", "value", "steps", "seconds", "attempt", "began", "ended")
NO_FIELDS = NoFields()
_DIGITS = re.compile(r"[0-9]+([.][0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class TableSelection:
    """What is asked for."""

    conditions: Sequence[Condition] = ()
    states: Collection[TrialState] = ()  # empty: all
    reason: str = ""  # of FAIL trials; numbers in it do not count
    sort: str = "number"
    descending: bool = False


def select_places(
    table: TrialTable, selection: TableSelection, more: MoreFields = NO_FIELDS
) -> Ints:
    """The places of the trials that fit, in order; raises `UsageError` for an unknown field."""
    chosen = np.ones(len(table), bool)
    if selection.states:
        chosen &= np.isin(table.states, [STATES.index(state) for state in selection.states])
    if selection.reason:
        chosen &= _has_reason(table, selection.reason)
    for condition in selection.conditions:
        chosen &= _holds(table, condition, more)
    return _ordered(table, np.flatnonzero(chosen), selection, more)


def _has_reason(table: TrialTable, reason: str) -> Mask:
    wanted = _DIGITS.sub("0", reason)
    numbers = [n for n, (_, text) in table.failures.items() if _DIGITS.sub("0", text) == wanted]
    mask: Mask = (table.states == FAIL) & np.isin(table.numbers, numbers)
    return mask


def fields(table: TrialTable) -> list[str]:
    """The columns: what can be sorted by, and what conditions may name."""
    return [*_NUMBERS, "state", *table.params]


def _column(table: TrialTable, name: str) -> Floats | None:
    """Numbers; of choices their place among the choices; None: no column holds it."""
    match name:
        case "number" | "trial":
            return table.numbers.astype(np.float64)
        case "value":
            return table.values
        case "steps" | "epochs":
            return table.n_steps.astype(np.float64)
        case "seconds" | "device_seconds":
            return table.seconds
        case "attempt":
            return table.attempts.astype(np.float64)
        case "began":
            return table.began
        case "ended":
            return table.ended
        case "state":
            return table.states.astype(np.float64)
    param = _param(table, name)
    return None if param is None else param.values


def _param(table: TrialTable, name: str) -> ParamTable | None:
    """The param of that name, or the one that a prefix names."""
    if name in table.params or name.startswith("attrs."):
        return table.params.get(name)
    return table.params.get(name.removeprefix("params."))


def _values(table: TrialTable, name: str, more: MoreFields) -> list[object]:
    """A field that no column holds; raises `UsageError` where there is none."""
    found = more.read(name)
    if found is None:
        known = [*fields(table), *more.names()]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {listed(known)}"
        raise UsageError(f"no field {quote(name)}; {hint}")
    return [found.get(number) for number in table.numbers.tolist()]


def _holds(table: TrialTable, condition: Condition, more: MoreFields) -> Mask:
    column = _column(table, condition.field)
    if column is None:
        values = _values(table, condition.field, more)
        return np.fromiter((holds(condition, value) for value in values), bool, len(values))
    has_it = np.isfinite(column)
    if condition.field == "state":
        fitting = [i for i, state in enumerate(STATES) if holds(condition, state)]
        return np.isin(column, fitting)
    param = _param(table, condition.field)
    choices: tuple[ParamValue, ...] | None = getattr(param.kind, "choices", None) if param else None
    if choices is not None:
        return _holds_choice(column, has_it, choices, condition)
    value = condition.value
    if value is None:
        return has_it if condition.sign == "!=" else ~has_it
    if isinstance(value, bool) or not isinstance(value, int | float):
        return has_it if condition.sign == "!=" else np.zeros(len(table), bool)
    compared: Mask = {
        "<": column < value,
        "<=": column <= value,
        ">": column > value,
        ">=": column >= value,
        "!=": column != value,
    }.get(condition.sign, column == value)
    mask: Mask = has_it & compared
    return mask


def _holds_choice(
    column: Floats, has_it: Mask, choices: tuple[ParamValue, ...], condition: Condition
) -> Mask:
    """Choices that are numbers can be compared as such."""
    places = [i for i, choice in enumerate(choices) if holds(condition, choice)]
    mask: Mask = has_it & np.isin(column, places)
    return mask | ~has_it if holds(condition, None) else mask


def _ordered(table: TrialTable, places: Ints, selection: TableSelection, more: MoreFields) -> Ints:
    """Those that lack the field last, ties by number."""
    column = _column(table, selection.sort)
    if column is None:
        values = _values(table, selection.sort, more)
        found = [values[place] for place in places.tolist()]
        return places[order(found, descending=selection.descending)]
    keys = -column[places] if selection.descending else column[places]
    return places[np.lexsort((table.numbers[places], np.where(np.isfinite(keys), keys, np.inf)))]
