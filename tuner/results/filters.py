"""Selection and order of a table's trials, for the command line and for pages.

A table of 100,000 trials takes milliseconds if columns hold the fields.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.errors import UsageError
from tuner.results import old_names
from tuner.results.conditions import Condition, condition_fault, holds, order
from tuner.results.trial_fields import ATTRS, PARAMS, MoreFields
from tuner.results.trial_table import FAIL, Mask, ParamTable, TrialTable
from tuner.space import decode_param
from tuner.storage.reading.columns import STATES, TEXT_FIELDS, Floats, Ints
from tuner.study.trial import TrialState
from tuner.study_file.text.faults import listed, quote

# Fields in columns, with the names of the columns.
_COLUMNS = {
    "number": "numbers",
    "trial": "numbers",
    "value": "values",
    "steps": "n_steps",
    "epochs": "n_steps",
    "device_seconds": "seconds",
    "attempt": "attempts",
    "started_at": "started",
    "ended_at": "ended",
}
OWN_FIELDS = (*_COLUMNS, "state", *TEXT_FIELDS)
_DIGITS = re.compile(r"[0-9]+([.][0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """The selected trials and their order."""

    conditions: Sequence[Condition] = ()
    states: Collection[TrialState] = ()  # empty: all
    reason: str = ""  # of FAIL trials; numbers in it do not count
    sort: str = "number"
    descending: bool = False
    limit: int | None = None


def filter_places(table: TrialTable, wanted: Filter, more: MoreFields) -> Ints:
    """Return the places of the trials, in order; raises `UsageError` for an unknown field."""
    chosen = np.ones(len(table), bool)
    if wanted.states:
        chosen &= np.isin(table.states, [STATES.index(state) for state in wanted.states])
    if wanted.reason:
        chosen &= _has_reason(table, wanted.reason)
    fields = _Fields(table, more)
    for condition in wanted.conditions:
        if fault := fields.fault(condition.field):
            raise condition_fault(condition.text, 0, fault)
        chosen &= fields.read(condition.field).holds(condition)
    if fault := fields.fault(wanted.sort):
        raise UsageError(f"--sort: {fault}")
    places = np.flatnonzero(chosen)
    ordered = fields.read(wanted.sort).ordered(places, descending=wanted.descending)
    return ordered[: wanted.limit]


def _has_reason(table: TrialTable, reason: str) -> Mask:
    wanted = _DIGITS.sub("0", reason)
    numbers = [n for n, (_, text) in table.failures.items() if _DIGITS.sub("0", text) == wanted]
    mask: Mask = (table.states == FAIL) & np.isin(table.numbers, numbers)
    return mask


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """A field whose values are numbers; nan: the trial lacks it."""

    column: Floats

    def holds(self, condition: Condition) -> Mask:
        has_it, value = np.isfinite(self.column), condition.value
        if value is None:
            return has_it if condition.sign == "!=" else ~has_it
        if isinstance(value, bool) or not isinstance(value, int | float):
            return has_it if condition.sign == "!=" else np.zeros(len(has_it), bool)
        compared: Mask = {
            "<": self.column < value,
            "<=": self.column <= value,
            ">": self.column > value,
            ">=": self.column >= value,
            "!=": self.column != value,
        }.get(condition.sign, self.column == value)
        mask: Mask = has_it & compared
        return mask

    def ordered(self, places: Ints, *, descending: bool) -> Ints:
        keys = -self.column[places] if descending else self.column[places]
        return places[np.lexsort((places, np.where(np.isfinite(keys), keys, np.inf)))]


@dataclass(frozen=True, kw_only=True)
class _Choices:
    """A field whose values are places among few choices; nan: the trial lacks it."""

    column: Floats
    choices: Sequence[object]

    def holds(self, condition: Condition) -> Mask:
        fitting = [at for at, choice in enumerate(self.choices) if holds(condition, choice)]
        mask: Mask = np.isin(self.column, fitting)
        return mask | ~np.isfinite(self.column) if holds(condition, None) else mask

    def ordered(self, places: Ints, *, descending: bool) -> Ints:
        """As `_Objects` would order them; a choice of null is like a missing value."""
        last = len(self.choices)
        ranks = np.full(last + 1, last)
        for rank, at in enumerate(order(self.choices, descending=descending)):
            ranks[at] = last if self.choices[at] is None else rank
        codes = np.nan_to_num(self.column[places], nan=last).astype(np.int64)
        return places[np.lexsort((places, ranks[codes]))]


@dataclass(frozen=True, kw_only=True)
class _Objects:
    """A field whose values are of any type; None: the trial lacks it."""

    values: Sequence[object]

    def holds(self, condition: Condition) -> Mask:
        found = (holds(condition, value) for value in self.values)
        return np.fromiter(found, bool, len(self.values))

    def ordered(self, places: Ints, *, descending: bool) -> Ints:
        return places[order([self.values[at] for at in places.tolist()], descending=descending)]


_Field = _Numbers | _Choices | _Objects


class _Fields:
    """The fields of a table's trials by name.

    A field of every trial comes first, then params, then user attributes; a prefix names one kind.
    """

    def __init__(self, table: TrialTable, more: MoreFields) -> None:
        self._table, self._more = table, more
        given = {name for params in table.given.values() for name in params}
        self._params = {*table.params, *more.fixed, *more.searched, *given}

    def fault(self, field: str) -> str:
        """Return the fault in the name of a field; empty without one."""
        if field in self._params or field in OWN_FIELDS or self._is_old(field):
            return ""
        if field.startswith(PARAMS):
            prefix, known = PARAMS, self._params
        else:
            attributes = set(self._more.attribute_names())
            is_prefixed = field.startswith(ATTRS)
            prefix = ATTRS if is_prefixed else ""
            known = attributes if is_prefixed else {*OWN_FIELDS, *self._params, *attributes}
        name = field.removeprefix(prefix)
        if name in known:
            return ""
        close = difflib.get_close_matches(name, sorted(known), n=1)
        others = listed(sorted(known)) if known else "none"
        hint = f"did you mean {prefix}{close[0]}?" if close else f"known: {others}"
        return f"no field {quote(field)}; {hint}"

    def _is_old(self, field: str) -> bool:
        """Whether only the last release has a field of this name."""
        is_known = field in self._params or field in self._more.attribute_names()
        return field in old_names.FIELDS and not is_known

    def read(self, field: str) -> _Field:
        """Read a field that has no fault."""
        if self._is_old(field):
            return self.read(old_names.FIELDS[field])
        if field.startswith((PARAMS, ATTRS)) and field not in self._params:
            name = field.removeprefix(PARAMS)
            return self._param(name) if name != field else self._attribute(field)
        if field in _COLUMNS:
            return _Numbers(column=getattr(self._table, _COLUMNS[field]).astype(np.float64))
        if field == "state":
            return _Choices(column=self._table.states.astype(np.float64), choices=STATES)
        if field in TEXT_FIELDS:
            return self._by_number(self._more.read_text(field))
        return self._param(field) if field in self._params else self._attribute(field)

    def _attribute(self, field: str) -> _Objects:
        return self._by_number(self._more.read_attribute(field.removeprefix(ATTRS)))

    def _by_number(self, found: Mapping[int, object]) -> _Objects:
        return _Objects(values=[found.get(number) for number in self._table.numbers.tolist()])

    def _param(self, name: str) -> _Field:
        param, fixed = self._table.params.get(name), self._more.fixed.get(name)
        is_given = any(name in params for params in self._table.given.values())
        if param is not None and not is_given and fixed is None:
            choices = getattr(param.kind, "choices", None)
            if choices is None:
                return _Numbers(column=param.values)
            return _Choices(column=param.values, choices=choices)
        values = [fixed] * len(self._table) if param is None else list(_decoded(param, fixed))
        for number, params in self._table.given.items():
            place = self._table.find(number)
            if place is not None and name in params:
                values[place] = params[name]
        return _Objects(values=values)


def _decoded(param: ParamTable, missing: object) -> Iterator[object]:
    for value in param.values.tolist():
        has_it = np.isfinite(value)
        yield decode_param(param.distribution, value) if has_it else missing


def field_names(table: TrialTable) -> list[str]:
    """Return the fields that a page lists: those of columns, and the params."""
    return [*(name for name in _COLUMNS if name not in ("trial", "epochs")), "state", *table.params]
