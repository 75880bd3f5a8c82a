"""Tables of trials from rows, and filtering row by row: what the filter over columns must equal."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.distributions import distribution_to_json as to_json

from tuner.results.conditions import holds, order
from tuner.results.filters import Filter, filter_places
from tuner.results.trial_table import TrialTable, empty_table, merge
from tuner.storage.reading.columns import STATES, TEXT_FIELDS, ParamColumn, TrialColumns
from tuner.storage.reading.rows import TrialRow
from tuner.study.trial import Params, TrialState

_NAMES = {"trial": "number", "steps": "n_steps", "epochs": "n_steps"}
_OWN = ("number", "trial", "state", "value", "steps", "epochs", "attempt", "device_seconds",
        *TEXT_FIELDS)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RowFields:
    """The fields that a table lacks, from rows."""

    rows: Sequence[TrialRow] = ()
    fixed: Params = field(default_factory=dict)
    searched: Collection[str] = ()

    def read_text(self, name: str) -> Mapping[int, object]:
        found = {row.number: getattr(row, name) for row in self.rows}
        return {number: value for number, value in found.items() if value is not None}

    def read_attribute(self, key: str) -> Mapping[int, object]:
        return {row.number: row.user_attrs[key] for row in self.rows if key in row.user_attrs}

    def attribute_names(self) -> Collection[str]:
        return {name for row in self.rows for name in row.user_attrs}


def table_of(rows: Sequence[TrialRow]) -> TrialTable:
    """A table of these trials; params that are not all numbers are choices."""
    nothing = np.full(len(rows), np.nan)
    columns = TrialColumns(
        numbers=np.array([row.number for row in rows], np.int64),
        states=np.array([STATES.index(row.state) for row in rows], np.int64),
        values=np.array([np.nan if row.value is None else row.value for row in rows]),
        n_steps=np.array([row.n_steps for row in rows], np.int64),
        began=nothing,
        started=nothing,
        ended=nothing,
        seconds=np.array([row.device_seconds for row in rows]),
        agents=np.zeros(len(rows), np.int64),
        devices=[row.device or "" for row in rows],
        attempts=np.array([row.attempt for row in rows], np.int64),
        failures={row.number: (row.failure, row.reason or "") for row in rows
                  if row.state is TrialState.FAIL},
        given={},
    )  # fmt: skip
    names = dict.fromkeys(name for row in rows for name in row.params)
    return merge(empty_table(), columns, [_column(rows, name) for name in names])


def _column(rows: Sequence[TrialRow], name: str) -> ParamColumn:
    mine = [(row.number, row.params[name]) for row in rows if name in row.params]
    values = [value for _, value in mine]
    kind: BaseDistribution = FloatDistribution(-1e12, 1e12)
    if not all(type(value) in (int, float) for value in values):
        kind = CategoricalDistribution(list(dict.fromkeys(values)))
    return ParamColumn(
        name=name,
        distribution=to_json(kind),
        numbers=np.array([number for number, _ in mine], np.int64),
        values=np.array([kind.to_internal_repr(value) for value in values]),
    )


def filter_rows(rows: Sequence[TrialRow], wanted: Filter, fixed: Params) -> list[int]:
    """The numbers of the trials that a filter chooses, found row by row."""
    chosen = [
        row
        for row in rows
        if (not wanted.states or row.state in wanted.states)
        and all(holds(c, find(row, c.field, fixed)) for c in wanted.conditions)
    ]
    values = [find(row, wanted.sort, fixed) for row in chosen]
    return [chosen[at].number for at in order(values, descending=wanted.descending)][: wanted.limit]


def find(row: TrialRow, name: str, fixed: Params) -> object:
    """A field of a trial: its own ones first, then params, then attributes."""
    params = {**fixed, **row.params}
    if name.startswith("params.") and name not in params:
        return params.get(name.removeprefix("params."))
    if name.startswith("attrs.") and name not in params:
        return row.user_attrs.get(name.removeprefix("attrs."))
    if name in _OWN:
        return attrgetter(_NAMES.get(name, name))(row)
    return {**row.user_attrs, **params}.get(name)


def filter_numbers(table: TrialTable, wanted: Filter, fields: RowFields | None = None) -> list[int]:
    """The numbers of the trials that a filter chooses in a table."""
    numbers: list[int] = table.numbers[filter_places(table, wanted, fields or RowFields())].tolist()
    return numbers
