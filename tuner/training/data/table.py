"""A table as its source returns it: typed columns, and a target. Shapes: N rows, F features."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.study_file.params.trainer_params import Task

Array = NDArray[Any]


class ColumnKind(StrEnum):
    """Kind of a column's values."""

    NUMBER = "number"
    CATEGORY = "category"  # a number from 0 for each of `Column.categories`


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of all rows in one column."""

    name: str
    kind: ColumnKind
    values_N: Array
    categories: tuple[str, ...] = ()  # by number


@dataclass(frozen=True, kw_only=True)
class Table:
    """A data set before its preparation."""

    name: str
    columns: Sequence[Column]
    target: Column

    @property
    def n_rows(self) -> int:
        return len(self.target.values_N)

    @property
    def task(self) -> Task:
        """Derive the task from the target."""
        is_category = self.target.kind is ColumnKind.CATEGORY
        return Task.CLASSIFICATION if is_category else Task.REGRESSION

    def numbers_NF(self) -> Array:
        """Return all columns as one matrix; they must be numbers of one type."""
        return np.stack([column.values_N for column in self.columns], axis=1)

    def fingerprint(self, rows: Mapping[str, Array]) -> str:
        """Return the sha256 of raw values and split, which identifies the data on all machines."""
        digest = hashlib.sha256()
        for array in (self.numbers_NF(), self.target.values_N, *rows.values()):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
