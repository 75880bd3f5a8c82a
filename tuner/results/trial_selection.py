"""Which trials of a table are asked for, on columns: for pages of studies with 100,000 trials."""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.errors import UsageError
from tuner.results.selection import Condition
from tuner.results.trial_table import FAIL, Mask, TrialTable
from tuner.storage.columns_reading import STATES, Floats, Ints
from tuner.study.trial import ParamValue
from tuner.study_file.faults import listed, quote

_NUMBERS = ("number", "value", "steps", "seconds", "attempt", "began", "ended")
_DIGITS = re.compile(r"[0-9]+([.][0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class TableSelection:
    """What is asked for."""

    conditions: Sequence[Condition] = ()
    states: Collection[str] = ()  # empty: all
    reason: str = ""  # of FAIL trials; numbers in it do not count
    sort: str = "number"
    descending: bool = False


def select_places(table: TrialTable, selection: TableSelection) -> Ints:
    """The places of the trials that fit, in order; raises `UsageError` for an unknown field."""
    chosen = np.ones(len(table), bool)
    if selection.states:
        chosen &= np.isin(table.states, [STATES.index(state) for state in selection.states])
    if selection.reason:
        chosen &= _has_reason(table, selection.reason)
    for condition in selection.conditions:
        chosen &= _holds(table, condition)
    return _ordered(table, np.flatnonzero(chosen), selection)


def _has_reason(table: TrialTable, reason: str) -> Mask:
    wanted = _DIGITS.sub("0", reason)
    numbers = [n for n, (_, text) in table.failures.items() if _DIGITS.sub("0", text) == wanted]
    mask: Mask = (table.states == FAIL) & np.isin(table.numbers, numbers)
    return mask


def fields(table: TrialTable) -> list[str]:
    """What can be sorted by, and what conditions may name."""
    return [*_NUMBERS, "state", *table.params]


def _column(table: TrialTable, name: str) -> Floats:
    """Numbers; of choices their place among the choices."""
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
    param = table.params.get(name.removeprefix("params."))
    if param is None:
        known = fields(table)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {listed(known)}"
        raise UsageError(f"no field {quote(name)}; {hint}")
    return param.values


def _holds(table: TrialTable, condition: Condition) -> Mask:
    column = _column(table, condition.field)
    has_it = np.isfinite(column)
    if condition.field == "state":
        text = str(condition.value).upper()
        wanted = float(STATES.index(text)) if text in STATES else -1.0
        is_it: Mask = column == wanted
        return is_it if condition.sign in ("=", "==") else ~is_it
    param = table.params.get(condition.field.removeprefix("params."))
    choices: tuple[ParamValue, ...] | None = getattr(param.kind, "choices", None) if param else None
    if choices is not None:
        return _holds_choice(column, has_it, choices, condition)
    value = condition.value
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
    places = [i for i, choice in enumerate(choices) if _fits(choice, condition)]
    mask: Mask = has_it & np.isin(column, places)
    return mask


def _fits(choice: ParamValue, condition: Condition) -> bool:
    wanted = condition.value
    if choice is None and wanted is not None:
        return False  # as `tuner trials` has it: the trial has no such value
    is_same = type(choice) is type(wanted) or not isinstance(choice, bool | str)
    is_equal = is_same and choice == wanted
    if condition.sign in ("=", "=="):
        return is_equal
    if condition.sign == "!=":
        return not is_equal
    if isinstance(choice, bool) or not isinstance(choice, int | float):
        return False
    assert isinstance(wanted, int | float)  # `parse_condition` takes no other for these
    return {
        "<": choice < wanted,
        "<=": choice <= wanted,
        ">": choice > wanted,
        ">=": choice >= wanted,
    }[condition.sign]


def _ordered(table: TrialTable, places: Ints, selection: TableSelection) -> Ints:
    """Those that lack the field last, ties by number."""
    column = _column(table, selection.sort)[places]
    keys = -column if selection.descending else column
    return places[np.lexsort((table.numbers[places], np.where(np.isfinite(keys), keys, np.inf)))]
