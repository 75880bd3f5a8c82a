"""Numeric inputs: numbers, booleans and the parts of dates, with missing values filled in.

Shapes: N rows, C columns, F numeric features, M of them with an indicator of missing values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.values import variant_of
from tuner.training.data.scaling import SCALINGS, Scaling
from tuner.training.data.source import BadData
from tuner.training.data.table import Array, Column

_DATE_PARTS = ("year", "month", "weekday", "days")


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The fitted transform of all numeric columns."""

    first_days: Mapping[str, float]  # the first training day of each date column
    fill_F: Array  # float64: the value of missing numbers
    has_indicator_F: Array  # bool: there were missing values in the training rows
    scaling: Scaling

    @classmethod
    def fit(cls, columns: Sequence[Column], rule: PrepareRule) -> "Numbers":
        """Fit on the columns of the training rows; raises `BadData` for one without values."""
        first_days: dict[str, float] = {}
        for column in columns:
            if column.is_missing_N.all():
                raise BadData(f"column {column.name!r} has no value in the training rows; drop it")
            if column.kind is ColumnType.DATE:
                first_days[column.name] = float(np.floor(np.nanmin(column.values_N)))
        x_NF = _expand(columns, first_days)
        is_missing_NF = np.isnan(x_NF)
        fill_F = np.array([_fill(x_N, rule) for x_N in x_NF.T], dtype=np.float64)
        x_NF = np.where(is_missing_NF, fill_F, x_NF)
        return cls(
            first_days=first_days,
            fill_F=fill_F,
            has_indicator_F=np.asarray(is_missing_NF.any(0)),
            scaling=SCALINGS[rule.numbers].fit(x_NF),
        )

    def names(self, columns: Sequence[Column]) -> list[str]:
        """Return the names of the features, in the order of `apply`."""
        names = _names(columns)
        with_indicator = [n for n, has in zip(names, self.has_indicator_F, strict=True) if has]
        return names + [f"{name} is missing" for name in with_indicator]

    def apply(self, columns: Sequence[Column], out_NF: Array) -> None:
        """Write the features (N, F + M) of all rows."""
        x_NF = _expand(columns, self.first_days)
        is_missing_NF = np.isnan(x_NF)
        if is_missing_NF.any():
            x_NF = np.where(is_missing_NF, self.fill_F, x_NF)
        n_numbers = x_NF.shape[1]
        out_NF[:, :n_numbers] = self.scaling.apply(x_NF)
        out_NF[:, n_numbers:] = is_missing_NF[:, self.has_indicator_F]

    def find_bad(self, columns: Sequence[Column], *, with_missing: bool) -> tuple[list[str], Array]:
        """Return the names of the numbers, and where one is infinite or too large (N, F).

        With `with_missing`, also where one is missing that no training row lacked.
        """
        x_NF = _expand(columns, self.first_days)
        is_missing_NF = np.isnan(x_NF)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled_NF = self.scaling.apply(np.where(is_missing_NF, self.fill_F, x_NF))
            # after the conversion: a finite 64-bit number may be infinite in 32
            is_bad_NF = ~np.isfinite(scaled_NF.astype(np.float32)) | np.isinf(x_NF)
        if with_missing:
            is_bad_NF |= is_missing_NF & ~self.has_indicator_F
        return _names(columns), is_bad_NF

    @property
    def n_features(self) -> int:
        return len(self.fill_F) + int(self.has_indicator_F.sum())

    def arrays(self) -> Mapping[str, Array]:
        return {
            "fill_F": self.fill_F,
            "has_indicator_F": self.has_indicator_F.astype(np.uint8),
            **self.scaling.arrays(),
        }

    def text(self) -> dict[str, Any]:
        """Return the rest of its state, as JSON values."""
        return {"scaling": self.scaling.kind, "first_days": dict(self.first_days)}


def load_numbers(text: Mapping[str, Any], arrays: Mapping[str, Array]) -> Numbers:
    """Load what `text` and `arrays` gave."""
    own = ("fill_F", "has_indicator_F")
    scaling = SCALINGS[text["scaling"]](**{n: a for n, a in arrays.items() if n not in own})
    return Numbers(
        first_days=dict(text["first_days"]),
        fill_F=arrays["fill_F"],
        has_indicator_F=arrays["has_indicator_F"].astype(bool),
        scaling=scaling,
    )


def _names(columns: Sequence[Column]) -> list[str]:
    names: list[str] = []
    for column in columns:
        is_date = column.kind is ColumnType.DATE
        names += [f"{column.name} {part}" for part in _DATE_PARTS] if is_date else [column.name]
    return names


def _expand(columns: Sequence[Column], first_days: Mapping[str, float]) -> Array:
    """Return the numbers (N, F) as float64; a date is year, month, weekday and days."""
    parts: list[Array] = []
    for column in columns:
        if column.kind is ColumnType.DATE:
            parts += _parts_of_date(column.values_N, first_days[column.name])
        else:
            parts.append(column.values_N)
    return np.stack(parts, axis=1).astype(np.float64)


def _parts_of_date(days_N: Array, first_day: float) -> list[Array]:
    is_missing_N = np.isnan(days_N)
    whole_N = np.floor(np.where(is_missing_N, 0, days_N)).astype(np.int64)
    dates_N = whole_N.astype("datetime64[D]")
    months_N = dates_N.astype("datetime64[M]").astype(np.int64)  # since 1970-01
    parts = [months_N // 12 + 1970, months_N % 12 + 1, (whole_N + 3) % 7]  # Monday is 0
    with_gaps = [np.where(is_missing_N, np.nan, part) for part in parts]
    return [*with_gaps, days_N - first_day]


def _fill(x_N: Array, rule: PrepareRule) -> float:
    """Return the value for missing numbers of a column."""
    how, setting = variant_of(rule.missing)
    if how == "constant":
        return float(setting)
    known = x_N[~np.isnan(x_N)]
    if how == "mean":
        return float(known.mean())
    if how == "median":
        return float(np.median(known))
    values, counts = np.unique(known, return_counts=True)
    return float(values[counts.argmax()])  # the smallest of those that are equally frequent
