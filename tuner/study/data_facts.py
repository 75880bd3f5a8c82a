"""Facts about a data set, for people who are about to search on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.study.trial import Values


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """A column of a table."""

    name: str
    use: str  # feature, target, weight, split, dropped
    type: str  # number, category, boolean, date, or Arrow's name for an unusable one
    missing: int
    distinct: int
    example: str  # the first value: a cell, for the terminal alone


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """A data set and its faults."""

    summary: str  # one line; empty if the data cannot be used
    columns: Sequence[ColumnFacts]  # of tables
    faults: Sequence[str]  # why no study can use it
    warnings: Sequence[str]  # likely mistakes
    task: str = ""  # empty if the data cannot be used


@dataclass(frozen=True, kw_only=True)
class BaselineFacts:
    """A simple model that was fitted to the training rows."""

    name: str
    n_rows: int  # that it was fitted to
    values: Values  # on the validation rows
