"""From an Arrow table to a `Table`: roles of columns, their types, and the target's task."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from tuner.study_file.data.sources import ColumnType
from tuner.study_file.data.split import SplitRule
from tuner.study_file.params.trainer_params import Task
from tuner.study_file.text.faults import did_you_mean
from tuner.training.data.array_table import check_classes, task_of_numbers
from tuner.training.data.columns import check_texts, infer_type, typed_column
from tuner.training.data.source import BadData, DataRequest
from tuner.training.data.table import Array, Column, Table, row_of

_ROWS_BY = ("group", "column")  # rules whose column is no feature


class Roles:
    """The use of each column of a table, by the study file."""

    def __init__(self, request: DataRequest, names: list[str]) -> None:
        """Raise `BadData` for a column that the table lacks."""
        asked = request.source
        split = SplitRule.model_validate(dict(request.split))
        if asked.get("target") is None:
            raise BadData(f"a table needs `target:`, the column to predict: one of {_some(names)}")
        self.target = str(asked["target"])
        self.weight: str | None = asked.get("weight")
        self.split_by = split.column
        self.types = {n: ColumnType(t) for n, t in (asked.get("types") or {}).items()}
        dropped = set(asked.get("drop") or ())
        singles = {"target": self.target, "weight": self.weight, "split": self.split_by}
        for key, name in singles.items():
            _check_name(key, name, names)
        for key, several in (("drop", dropped), ("types", self.types)):
            for name in several:
                _check_name(key, name, names)
        taken = {self.target, self.weight, *dropped}
        if split.rule in _ROWS_BY:
            taken.add(self.split_by)
        self.features = [name for name in names if name not in taken]
        if not self.features:
            raise BadData("no column is left as a feature; shorten `drop:`")

    def uses(self, names: Iterable[str]) -> dict[str, str]:
        """Return the use of each column: feature, target, weight, split or dropped."""
        singles = {self.split_by: "split", self.weight: "weight", self.target: "target"}
        singles |= dict.fromkeys(self.features, "feature")
        return {name: singles.get(name, "dropped") for name in names}


def build_table(arrow: pa.Table, request: DataRequest, *, name: str, n_test: int = 0) -> Table:
    """Build a typed table; the last `n_test` rows are test rows. Raises `BadData`."""
    roles = Roles(request, list(arrow.column_names))
    columns = [_feature(arrow, column, roles) for column in roles.features]
    target = _target(arrow, roles, Task(request.task) if request.task else None)
    return Table(
        name=name,
        columns=columns,
        target=target,
        weight_N=_weights(arrow, roles.weight),
        split_by=_split_column(arrow, roles),
        n_test=n_test,
    )


def check_column(arrow: pa.Table, name: str, roles: Roles, task: str | None) -> None:
    """Raise `BadData` if a column cannot be used as the file asks."""
    use = roles.uses([name])[name]
    if use == "target":
        _target(arrow, roles, Task(task) if task else None)
    elif use == "weight":
        _weights(arrow, name)
    elif use == "split":
        _split_column(arrow, roles)
    elif use == "feature":
        _feature(arrow, name, roles)


def _feature(arrow: pa.Table, name: str, roles: Roles) -> Column:
    values = arrow.column(name)
    asked = roles.types.get(name)
    column = typed_column(name, values, asked or infer_type(name, values))
    # A feature by which rows are split must have an order in time: the split advises better.
    if asked is None and column.kind is ColumnType.CATEGORY and name != roles.split_by:
        check_texts(name, column)
    return column


def _target(arrow: pa.Table, roles: Roles, task: Task | None) -> Column:
    name, values = roles.target, arrow.column(roles.target)
    if values.null_count:
        bad = row_of(values.is_null().to_numpy())
        raise BadData(f"the target {name!r} is missing in {bad}; remove these rows or fill it in")
    kind = roles.types.get(name) or infer_type(name, values)
    if kind is ColumnType.DATE:
        raise BadData(f"the target {name!r} is a date; choose a number or a category")
    if kind is ColumnType.NUMBER:
        column = typed_column(name, values, kind)
        if np.isnan(column.values_N).any():
            bad = row_of(np.isnan(column.values_N))
            raise BadData(f"the target {name!r} is no number in {bad}; fill it in")
        if (task or task_of_numbers(column.values_N)) is Task.REGRESSION:
            if column.values_N.min() == column.values_N.max():
                raise BadData(f"the target {name!r} has the same value in all rows")
            return column
    elif task is Task.REGRESSION:
        raise BadData(f"the target {name!r} is no number; `task: regression` needs one")
    column = typed_column(name, values, ColumnType.CATEGORY)
    check_classes(f"the target {name!r}", len(column.categories))
    return column


def _weights(arrow: pa.Table, name: str | None) -> Array | None:
    if name is None:
        return None
    weights_N = typed_column(name, arrow.column(name), ColumnType.NUMBER).values_N
    is_bad_N = ~(weights_N >= 0)
    if is_bad_N.any():
        raise BadData(f"the weight {name!r} is missing or negative in {row_of(is_bad_N)}")
    if not weights_N.any():
        raise BadData(f"the weight {name!r} is 0 in all rows")
    return weights_N


def _split_column(arrow: pa.Table, roles: Roles) -> Column | None:
    name = roles.split_by
    if name is None:
        return None
    values = arrow.column(name)
    return typed_column(name, values, roles.types.get(name) or infer_type(name, values))


def _check_name(key: str, name: str | None, names: list[str]) -> None:
    if name is not None and name not in names:
        guess = did_you_mean(name, names) or f"; the columns are {_some(names)}"
        raise BadData(f"`{key}:` names column {name!r}, which the data do not have{guess}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more
