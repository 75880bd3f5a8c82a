"""Likely mistakes in a table: columns and rows that make a search pointless or its result untrue.

Messages name columns and counts, never a cell. Shapes: N rows, F features, C classes.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.table import Array, Column, Table, is_number_text

_MIN_ROWS = 20  # for statements about shares
_FEW_OF_A_CLASS = 10  # rows
_ALONE = 0.995  # a column that ranks or determines the target so well predicts it alone
_SHARE_OF_REPEATED = 0.01  # rows; fewer are no news unless they leak
_SHARE_OF_IDS = 0.95  # different values per row
_SHARE_OF_NUMBERS = 0.9  # values of a column whose others are likely errors
_MAX_GAP_OF_IDS = 10  # numbers of the range per row
_MAX_SHARE_OF_VALUES = 0.2  # different values per row of a column that may determine the target


def find_mistakes(
    table: Table, rows: Mapping[str, Array], typed: Collection[str] = ()
) -> Iterator[str]:
    """Yield one sentence for each.

    `rows` are those of every split, and `typed` the columns whose type the study file names.
    """
    if table.n_rows >= _MIN_ROWS:
        for column in table.columns:
            yield from _in_column(column, table)
            if column.name not in typed:
                yield from _texts_among_numbers(column)
    yield from _duplicates(table, rows)
    yield from _rare_classes(table, rows["train"])


def _in_column(column: Column, table: Table) -> Iterator[str]:
    codes_N = _codes(column)
    n_values = int(codes_N.max()) + 1
    known_N = ~column.is_missing_N
    n_known_values = len(np.unique(codes_N[known_N]))
    if n_known_values == 1 and known_N.all():
        yield f"column {column.name!r} has the same value in all rows; drop it"
        return
    if _is_like_an_id(column, n_known_values, table.n_rows):
        yield f"column {column.name!r} has another value in almost every row, as an id has; drop it"
        return
    n_missing = int((~known_N).sum())
    if n_missing > table.n_rows / 2:
        share = n_missing / table.n_rows
        yield f"column {column.name!r} is missing in {share:.0%} of the rows"
    if _predicts_alone(column, codes_N, n_values, table):
        yield (
            f"column {column.name!r} alone predicts the target almost perfectly; drop it if it is "
            "not known when the model is used"
        )


def _is_like_an_id(column: Column, n_values: int, n_rows: int) -> bool:
    """Return whether nearly every row has its own text, or its own number of a dense range."""
    if n_values < _SHARE_OF_IDS * n_rows:
        return False
    if column.kind is ColumnType.CATEGORY:
        return True
    values_N = column.values_N[~column.is_missing_N]
    is_whole = column.kind is ColumnType.NUMBER and bool((values_N == np.round(values_N)).all())
    return is_whole and bool(np.ptp(values_N) < _MAX_GAP_OF_IDS * n_rows)


def _texts_among_numbers(column: Column) -> Iterator[str]:
    if column.kind is not ColumnType.CATEGORY:
        return
    is_text_C = np.array([not is_number_text(text) for text in column.categories])
    is_text_N = is_text_C[column.values_N[~column.is_missing_N]]
    if is_text_N.any() and is_text_N.mean() <= 1 - _SHARE_OF_NUMBERS:
        yield (
            f"column {column.name!r} holds numbers except for {is_text_N.sum():,} values, and is "
            f"taken for categories; `types: {{{column.name}: number}}` shows the first of them"
        )


def _predicts_alone(column: Column, codes_N: Array, n_values: int, table: Table) -> bool:
    target_N = table.target.values_N
    if table.task is Task.REGRESSION:
        if column.kind is ColumnType.CATEGORY or column.is_missing_N.any():
            return False
        with np.errstate(invalid="ignore"):
            correlation = np.corrcoef(_ranks(column.values_N), _ranks(target_N))[0, 1]
        return bool(abs(correlation) > _ALONE)
    if len(table.target.categories) == 2 and column.kind is not ColumnType.CATEGORY:
        known_N = ~column.is_missing_N
        area = _area_under_curve(column.values_N[known_N], target_N[known_N] == 1)
        if max(area, 1 - area) > _ALONE:
            return True
    if n_values > _MAX_SHARE_OF_VALUES * table.n_rows:
        return False
    n_classes = len(table.target.categories)
    counts_VC = np.bincount(codes_N * n_classes + target_N, minlength=n_values * n_classes)
    right = counts_VC.reshape(n_values, n_classes).max(1).sum()
    return bool(right / table.n_rows > _ALONE)


def _ranks(values_N: Array) -> Array:
    """Return ranks; equal values have equal ones."""
    _, inverse_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse_N])


def _area_under_curve(values_N: Array, is_one_N: Array) -> float:
    """Return the probability that a row of class 1 has the larger value."""
    n_ones, n_zeros = int(is_one_N.sum()), int((~is_one_N).sum())
    if not n_ones or not n_zeros:
        return 0.5
    rank_sum = _ranks(values_N)[is_one_N].sum() - n_ones * (n_ones + 1) / 2
    return float(rank_sum / (n_ones * n_zeros))


def _duplicates(table: Table, rows: Mapping[str, Array]) -> Iterator[str]:
    """Report rows that stand several times, and those that also stand in another split."""
    if not table.columns or table.n_rows < _MIN_ROWS:
        return
    keys_N = _row_keys(table)
    _, counts = np.unique(keys_N, return_counts=True)
    n_repeated = int((counts - 1).sum())
    train = keys_N[rows["train"]]
    leaked = {n: int(np.isin(keys_N[rows[n]], train).sum()) for n in ("validation", "test")}
    if n_repeated < _SHARE_OF_REPEATED * table.n_rows and not any(leaked.values()):
        return
    yield (
        f"{n_repeated:,} of {table.n_rows:,} rows repeat the features of another row"
        + (
            f"; {leaked['validation']:,} validation and {leaked['test']:,} test rows also stand in "
            "the training rows, so that results look better than they are: remove them, or split "
            "by a group"
            if any(leaked.values())
            else ""
        )
    )


def _rare_classes(table: Table, train: Array) -> Iterator[str]:
    if table.task is not Task.CLASSIFICATION:
        return
    n_classes = len(table.target.categories)
    counts_C = np.bincount(table.target.values_N, minlength=n_classes)
    n_rare = int((counts_C < _FEW_OF_A_CLASS).sum())
    if n_rare:
        yield (
            f"{n_rare} of {len(counts_C)} classes have fewer than {_FEW_OF_A_CLASS} rows; metrics "
            "of such classes are mostly luck"
        )
    n_unseen = int((np.bincount(table.target.values_N[train], minlength=n_classes) == 0).sum())
    if n_unseen:
        yield (
            f"{n_unseen} of {n_classes} classes have no training row, so that no model predicts "
            "them; add rows, or change `split:`"
        )


def _codes(column: Column) -> Array:
    """Return a whole number from 0 for each different value, missing ones included."""
    _, codes_N = np.unique(column.values_N, return_inverse=True)
    return np.asarray(codes_N)


def _row_keys(table: Table) -> Array:
    """Return a 64-bit number of the features of each row; equal rows have equal ones."""
    keys_N = np.zeros(table.n_rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in table.columns:
            keys_N = (keys_N ^ _codes(column).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            keys_N ^= keys_N >> np.uint64(29)
    return keys_N
