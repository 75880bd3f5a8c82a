"""A data set as its source returns it: typed columns or images, and a target.

Shapes: N rows, F features, C channels, H height, W width.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    date_format: str = ""  # of dates that were text; empty for ISO dates

    @property
    def is_missing_N(self) -> Array:
        if self.kind is ColumnType.CATEGORY:
            return np.asarray(self.values_N == MISSING)
        return np.isnan(self.values_N)

    def take(self, rows: Array) -> "Column":
        """Return some of the rows."""
        return replace(self, values_N=self.values_N[rows])


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
        """Return the sha256 of numbers, target and split: the identity of scikit-learn's sets."""
        digest = hashlib.sha256()
        for array in (self.numbers_NF(), self.target.values_N, *rows.values()):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def content_hash(self) -> str:
        """Return the sha256 of everything that a preparation uses: names, kinds, all values."""
        digest = hashlib.sha256()
        columns = [*self.columns, self.target, *([self.split_by] if self.split_by else [])]
        for column in columns:
            facts = [column.name, column.kind.value, list(column.categories)]
            digest.update(json.dumps(facts).encode())
            digest.update(np.ascontiguousarray(column.values_N).tobytes())
        for array in (self.weight_N, self.pixels_NCHW):
            if array is not None:
                digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        digest.update(f"{self.n_test} {self.n_rows}".encode())
        return digest.hexdigest()


def row_of(is_bad_N: Array) -> str:
    """Name the first bad row, and how many there are."""
    rows = np.flatnonzero(is_bad_N)
    more = f" and {len(rows) - 1:,} more" if len(rows) > 1 else ""
    return f"row {rows[0] + 1:,}{more}"


def is_number_text(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
