"""The split of a table's rows into train, validation and test."""

import numpy as np
from sklearn.model_selection import train_test_split

from tuner.study_file.params.trainer_params import Task
from tuner.training.data.table import Array, Table

_VALIDATION_SHARE = _TEST_SHARE = 0.15
_SEED = 0


def split_rows(table: Table) -> dict[str, Array]:
    """Return row numbers of train, validation and test: 70, 15, 15 %, stratified by class."""
    rows = np.arange(table.n_rows)
    rest, test = _cut(table, rows, round(len(rows) * _TEST_SHARE))
    train, validation = _cut(table, rest, round(len(rows) * _VALIDATION_SHARE))
    return {"train": train, "validation": validation, "test": test}


def _cut(table: Table, rows: Array, size: int) -> tuple[Array, Array]:
    strata = table.target.values_N[rows] if table.task is Task.CLASSIFICATION else None
    kept, cut = train_test_split(rows, test_size=size, random_state=_SEED, stratify=strata)
    return np.sort(kept), np.sort(cut)
