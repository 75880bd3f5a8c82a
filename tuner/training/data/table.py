"""A data set as its source returns it: typed columns or images, and a target.

Shapes: N rows, F features, C channels, H height, W width.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task

Array = NDArray[Any]
MISSING = -1  # the number of a missing category


@dataclass(frozen=True, kw_only=True)
class Column:
    """The values of all rows in one column.

    Numbers, booleans (0 and 1) and dates (days since 1970-01-01) are floats, NaN if missing. Values
    of a category are numbers from 0 for each of `categories`, `MISSING` if missing.
    """

    name: str
    kind: ColumnType
    values_N: Array
    categories: tuple[str, ...] = ()  # by number

    @property
    def is_missing_N(self) -> Array:
        if self.kind is ColumnType.CATEGORY:
            return np.asarray(self.values_N == MISSING)
        return np.isnan(self.values_N)

    def take(self, rows: Array) -> "Column":
        """Return some of the rows."""
        return Column(
            name=self.name,
            kind=self.kind,
            values_N=self.values_N[rows],
            categories=self.categories,
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A data set before its preparation: columns, or images."""

    name: str
    columns: Sequence[Column]
    target: Column
    weight_N: Array | None = None  # of rows in the training loss
    split_by: Column | None = None  # the column that a split follows
    n_test: int = 0  # last rows, from a file of test rows
    pixels_NCHW: Array | None = None  # uint8; then there are no columns
    shape: tuple[int, int, int] | None = None  # C, H, W, if the columns are the pixels of an image

    @property
    def n_rows(self) -> int:
        return len(self.target.values_N)

    @property
    def task(self) -> Task:
        """Derive the task from the target."""
        is_category = self.target.kind is ColumnType.CATEGORY
        return Task.CLASSIFICATION if is_category else Task.REGRESSION

    def numbers_NF(self) -> Array:
        """Return all columns as one matrix; they must be numbers of one type."""
        return np.stack([column.values_N for column in self.columns], axis=1)

    def fingerprint(self, rows: Mapping[str, Array]) -> str:
        """Return the sha256 of raw values and split, which identifies the data on all machines."""
        digest = hashlib.sha256()
        for array in (*self._values(), self.target.values_N, *rows.values()):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        texts = [column.categories for column in self.columns]
        if any(texts):
            digest.update(repr(texts).encode())
        return digest.hexdigest()

    def _values(self) -> list[Array]:
        """Return the raw values, as one matrix if all columns are numbers."""
        if self.pixels_NCHW is not None:
            return [self.pixels_NCHW]
        if all(column.kind is ColumnType.NUMBER for column in self.columns):
            return [self.numbers_NF()]
        return [column.values_N for column in self.columns]


def row_of(is_bad_N: Array) -> str:
    """Name the first bad row, and how many there are."""
    rows = np.flatnonzero(is_bad_N)
    more = f" and {len(rows) - 1:,} more" if len(rows) > 1 else ""
    return f"row {rows[0] + 1:,}{more}"
