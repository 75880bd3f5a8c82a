"""From arrays `x` and `y` to a `Table`. Shapes: N rows, F features, C, H, W of images."""

from typing import Any

import numpy as np

from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.source import BadData
from tuner.training.data.table import Array, Column, Table, row_of

MAX_CLASSES = 20  # of whole numbers that are taken for classes unasked
MAX_NAMED_CLASSES = 1000


def table_of_arrays(x: Any, y: Any, task: str | None, *, name: str) -> Table:
    """Build a table of numbers (N, F), or of 8-bit images (N, H, W) or (N, H, W, C).

    Raises `BadData` for other arrays.
    """
    x, y = _array("x", x), _array("y", y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise BadData(f"y has the shape {y.shape}; it must have one target for each row")
    if len(x) != len(y):
        raise BadData(f"x has {len(x):,} rows and y {len(y):,}")
    if not len(y):
        raise BadData("x and y have no rows")
    target = target_of_array(y, Task(task) if task else None)
    if x.ndim in (3, 4):
        return Table(name=name, columns=(), target=target, pixels_NCHW=_pixels(x))
    if x.ndim != 2:
        raise BadData(f"x has the shape {x.shape}; it must be (rows, features) or images")
    return Table(name=name, columns=_columns(x), target=target)


def target_of_array(y_N: Array, task: Task | None) -> Column:
    """Return the target: text and few whole numbers are classes. Raises `BadData`."""
    if y_N.dtype.kind in "US":
        if task is Task.REGRESSION:
            raise BadData("y is text; `task: regression` needs numbers")
    else:
        y_N = _floats("y", y_N) if y_N.dtype.kind == "f" else y_N
        if y_N.dtype.kind not in "biuf":
            raise BadData(f"y holds {y_N.dtype}; it must be numbers or text")
        is_missing_N = np.isnan(y_N.astype(np.float64))
        if is_missing_N.any():
            raise BadData(f"y is missing in {row_of(is_missing_N)}")
        if (task or task_of_numbers(y_N)) is Task.REGRESSION:
            if y_N.min() == y_N.max():
                raise BadData("y has the same value in all rows")
            return Column(name="target", kind=ColumnType.NUMBER, values_N=y_N.astype(np.float64))
        if y_N.dtype.kind == "f" and (y_N == np.round(y_N)).all():
            y_N = y_N.astype(np.int64)
    classes, numbers_N = np.unique(y_N, return_inverse=True)
    check_classes("y", len(classes))
    return Column(
        name="target",
        kind=ColumnType.CATEGORY,
        values_N=numbers_N.astype(np.int64),
        categories=tuple(map(str, classes.tolist())),
    )


def task_of_numbers(values_N: Array) -> Task:
    """Return the task of a numeric target: few whole numbers are classes."""
    is_whole = bool((values_N == np.round(values_N)).all())
    is_class = is_whole and len(np.unique(values_N)) <= MAX_CLASSES
    return Task.CLASSIFICATION if is_class else Task.REGRESSION


def check_classes(what: str, n_classes: int) -> None:
    """Raise `BadData` for a number of classes that nothing can be learned from."""
    if n_classes < 2:
        raise BadData(f"{what} has a single class; there is nothing to learn")
    if n_classes > MAX_NAMED_CLASSES:
        raise BadData(
            f"{what} has {n_classes:,} classes; at most {MAX_NAMED_CLASSES:,} are possible. For a "
            "numeric target write `task: regression`"
        )


def _array(name: str, given: Any) -> Array:
    if hasattr(given, "detach"):
        given = given.detach().cpu()  # a tensor
    array = np.asarray(given)
    if array.dtype.kind == "O":
        raise BadData(f"{name} holds Python objects; make it an array of numbers")
    return array


def _columns(x_NF: Array) -> list[Column]:
    if x_NF.dtype.kind not in "biuf":
        raise BadData(f"x holds {x_NF.dtype}; it must be numbers")
    if not x_NF.shape[1]:
        raise BadData("x has no features")
    x_NF = _floats("x", x_NF)
    return [
        Column(name=f"x{number}", kind=ColumnType.NUMBER, values_N=x_N)
        for number, x_N in enumerate(x_NF.T)
    ]


def _floats(name: str, array: Array) -> Array:
    array = array.astype(np.float64)
    is_infinite_N = np.asarray(np.isinf(array.reshape(len(array), -1)).any(1))
    if is_infinite_N.any():
        raise BadData(f"{name} holds infinity in {row_of(is_infinite_N)}")
    return array


def _pixels(x: Array) -> Array:
    if x.dtype != np.uint8:
        raise BadData(
            f"images must be 8-bit numbers (uint8) of the shape (rows, height, width[, channels]), "
            f"and x is {x.dtype} of the shape {x.shape}"
        )
    if x.ndim == 3:
        return x[:, None]
    if x.shape[3] not in (1, 3):
        raise BadData(f"images have 1 or 3 channels, the last axis; x has the shape {x.shape}")
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
