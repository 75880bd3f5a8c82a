"""The split of a table's rows into train, validation and test."""

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from tuner.study_file.data.sources import ColumnType
from tuner.study_file.data.split import SplitRule
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.source import BadData
from tuner.training.data.table import Array, Table, row_of

NAMES = ("train", "validation", "test")
_WORDS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation"}
_WORDS |= {"test": "test"}
_N_DRAWS = 20  # random choices of groups, whose sizes differ


def split_rows(table: Table, rule: SplitRule) -> dict[str, Array]:
    """Return the row numbers of train, validation and test; raises `BadData`."""
    all_rows = np.arange(table.n_rows)
    rest, given = all_rows[: table.n_rows - table.n_test], all_rows[table.n_rows - table.n_test :]
    cut = {"group": _by_group, "time": _by_time}.get(rule.rule, _at_random)
    n_validation = round(len(rest) * rule.validation)
    if rule.rule == "column":
        rows = _by_column(table, rest)
    elif table.n_test:
        train, validation = cut(table, rest, n_validation, rule)
        rows = {"train": train, "validation": validation}
    else:
        assert isinstance(rule.test, float)
        kept, test = cut(table, rest, round(len(rest) * rule.test), rule)
        train, validation = cut(table, kept, n_validation, rule)
        rows = {"train": train, "validation": validation, "test": test}
    if table.n_test:
        rows["test"] = np.concatenate([rows.get("test", given[:0]), given])
    if table.n_test and rule.rule == "group":
        _check_groups(table, rest, given)
    for name in NAMES:
        if not len(rows.get(name, ())):
            raise BadData(f"the split leaves no {name} rows of {table.n_rows:,}; change `split:`")
    if table.weight_N is not None and not table.weight_N[rows["train"]].any():
        raise BadData("the weight is 0 in all training rows; change `split:` or the weights")
    return rows


def _at_random(table: Table, rows: Array, size: int, rule: SplitRule) -> tuple[Array, Array]:
    is_by_class = rule.rule == "stratify" and table.task is Task.CLASSIFICATION
    strata = table.target.values_N[rows] if is_by_class else None
    _check_sizes(rows, size, strata)
    kept, cut = train_test_split(rows, test_size=size, random_state=rule.seed, stratify=strata)
    return np.sort(kept), np.sort(cut)


def _check_sizes(rows: Array, size: int, strata: Array | None) -> None:
    if not 0 < size < len(rows):
        raise BadData(f"{len(rows):,} rows are too few for this split; add rows or change `split:`")
    if strata is None:
        return
    sizes = np.bincount(strata)
    sizes = sizes[sizes > 0]
    if sizes.min() < 2 or len(sizes) > min(size, len(rows) - size):
        raise BadData(
            f"the rarest of {len(sizes)} classes has too few rows ({sizes.min()} where they are "
            "split) for a share in every split; remove it, or set `split: {by: random}`"
        )


def _by_group(table: Table, rows: Array, size: int, rule: SplitRule) -> tuple[Array, Array]:
    """Cut whole groups: of several random choices, the one with the nearest number of rows."""
    groups = _column_of(table)[rows]
    n_groups = len(np.unique(groups))
    share = size / len(rows)
    if n_groups < 3 or round(share * n_groups) < 1:
        raise BadData(
            f"column {_name_of(table)!r} has {n_groups} groups where rows are split by it; use "
            "larger shares in `split:`, or another column"
        )
    splitter = GroupShuffleSplit(_N_DRAWS, test_size=share, random_state=rule.seed)
    draws = splitter.split(rows, groups=groups)
    kept, cut = min(draws, key=lambda draw: abs(len(draw[1]) - size))
    return np.sort(rows[kept]), np.sort(rows[cut])


def _check_groups(table: Table, rest: Array, given: Array) -> None:
    groups = _column_of(table)
    n_both = len(np.intersect1d(groups[rest], groups[given]))
    if n_both:
        raise BadData(
            f"{n_both:,} groups of the test file are also in the other rows (column "
            f"{_name_of(table)!r}); remove these rows from one of the two"
        )


def _by_time(table: Table, rows: Array, size: int, rule: SplitRule) -> tuple[Array, Array]:
    """Cut the latest rows; raises `BadData` for a column without an order in time."""
    column = table.split_by
    assert column is not None
    if column.kind not in (ColumnType.DATE, ColumnType.NUMBER):
        raise BadData(
            f"column {column.name!r}, by which rows are split in time, is neither a date nor a "
            f"number; write `types: {{{column.name}: date}}`, or choose another column"
        )
    order = rows[np.argsort(_column_of(table)[rows], kind="stable")]
    return np.sort(order[: len(order) - size]), np.sort(order[len(order) - size :])


def _by_column(table: Table, rows: Array) -> dict[str, Array]:
    """Return the rows by the words in the column."""
    column = table.split_by
    assert column is not None
    if column.kind is not ColumnType.CATEGORY:
        raise BadData(
            f"column {column.name!r} is no text; it must hold the words train, validation and test"
        )
    words = [_WORDS.get(text.strip().lower()) for text in column.categories]
    if None in words:
        raise BadData(
            f"column {column.name!r} must hold train, validation or test, and it holds "
            f"{words.count(None)} other values"
        )
    numbers_N = _column_of(table)
    return {
        name: rows[np.isin(numbers_N[rows], [n for n, word in enumerate(words) if word == name])]
        for name in NAMES
    }


def _column_of(table: Table) -> Array:
    column = table.split_by
    assert column is not None
    is_missing_N = column.is_missing_N
    if is_missing_N.any():
        raise BadData(
            f"column {column.name!r}, by which rows are split, is missing in "
            f"{row_of(is_missing_N)}; fill it in or remove these rows"
        )
    return column.values_N


def _name_of(table: Table) -> str:
    assert table.split_by is not None
    return table.split_by.name
