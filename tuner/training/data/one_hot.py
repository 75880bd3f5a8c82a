"""One-hot inputs of category columns. Shapes: N rows, C categories of a column, F features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.training.data.table import MISSING, Array, Column

_NO_FEATURE = -1


@dataclass(frozen=True, kw_only=True)
class OneHotColumn:
    """The categories of one column that the training rows showed."""

    kept: tuple[str, ...]  # with a feature each, sorted
    has_rare: bool  # one feature for all others, unknown ones included
    has_missing: bool  # one feature for missing values

    @classmethod
    def fit(cls, column: Column, max_categories: int) -> "OneHotColumn":
        """Fit on training rows; with too many categories the most frequent ones are kept."""
        counts_C = np.bincount(
            column.values_N[column.values_N != MISSING], minlength=len(column.categories)
        )
        seen = np.flatnonzero(counts_C)
        has_rare = len(seen) > max_categories
        if has_rare:
            # The order of scikit-learn: of equally frequent ones the first are rare.
            order = seen[np.lexsort((-seen, -counts_C[seen]))]
            seen = np.sort(order[: max_categories - 1])
        return cls(
            kept=tuple(column.categories[number] for number in seen),
            has_rare=has_rare,
            has_missing=bool((column.values_N == MISSING).any()),
        )

    @property
    def n_features(self) -> int:
        return len(self.kept) + self.has_rare + self.has_missing

    def names(self, column: str) -> list[str]:
        ends = ["other"] * self.has_rare + ["missing"] * self.has_missing
        return [f"{column} {end}" for end in [*map(str, range(len(self.kept))), *ends]]

    def places(self, categories: Sequence[str]) -> Array:
        """Return the feature of each category, and of a missing one last; -1 for none."""
        of_text = {text: place for place, text in enumerate(self.kept)}
        rare = len(self.kept) if self.has_rare else _NO_FEATURE
        missing = len(self.kept) + self.has_rare if self.has_missing else _NO_FEATURE
        return np.array([*(of_text.get(text, rare) for text in categories), missing])


@dataclass(frozen=True, kw_only=True)
class OneHot:
    """The fitted transform of all category columns."""

    columns: tuple[OneHotColumn, ...]

    @classmethod
    def fit(cls, columns: Sequence[Column], max_categories: int) -> "OneHot":
        return cls(columns=tuple(OneHotColumn.fit(column, max_categories) for column in columns))

    @property
    def n_features(self) -> int:
        return sum(column.n_features for column in self.columns)

    def names(self, columns: Sequence[Column]) -> list[str]:
        """Return names of the features without any category: they are values of the data."""
        return [
            name
            for column, fitted in zip(columns, self.columns, strict=True)
            for name in fitted.names(column.name)
        ]

    def apply(self, columns: Sequence[Column], out_NF: Array) -> None:
        """Write ones into the features (N, F), which are zero, of all rows."""
        first = 0
        for column, fitted in zip(columns, self.columns, strict=True):
            places_N = fitted.places(column.categories)[column.values_N]
            rows = np.flatnonzero(places_N != _NO_FEATURE)
            out_NF[rows, first + places_N[rows]] = 1
            first += fitted.n_features

    def text(self) -> list[dict[str, Any]]:
        """Return its state as JSON values."""
        return [
            {"kept": list(c.kept), "has_rare": c.has_rare, "has_missing": c.has_missing}
            for c in self.columns
        ]


def load_one_hot(stored: Sequence[Mapping[str, Any]]) -> OneHot:
    """Load what `OneHot.text` gave."""
    return OneHot(
        columns=tuple(
            OneHotColumn(
                kept=tuple(column["kept"]),
                has_rare=bool(column["has_rare"]),
                has_missing=bool(column["has_missing"]),
            )
            for column in stored
        )
    )
