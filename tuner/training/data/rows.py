"""Typed columns from rows that a trained model shall predict.

Shapes: N rows, F features, C channels, H height, W width.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tuner.errors import BadRows
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.text.faults import did_you_mean
from tuner.training.data.preparation import Preparation, by_kind
from tuner.training.data.source import BadData
from tuner.training.data.table import MISSING, Array, Column

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_NAMED = 5  # rows in a message


def columns_of(rows: Any, preparation: Preparation, *, is_lenient: bool) -> list[Column]:
    """Return the columns of rows in any form; raises `BadRows`.

    Rows: a file (CSV, Parquet), a frame, an Arrow table, a dict of columns, a list of dicts, or an
    array (N, F) in the order of the columns if all of them are numbers. Lenient: a missing value or
    a category that the training rows did not show is no error; it becomes the fill value, or no
    category.
    """
    arrow = _as_arrow(rows, preparation)
    if arrow is None or _is_positional(arrow, preparation):
        found = _from_array(_matrix(rows), preparation)
    else:
        found = _from_arrow(arrow, preparation)
    _check_values(found, preparation, is_lenient=is_lenient)
    return found


def pixels_of(rows: Any, preparation: Preparation) -> Array:
    """Return images as bytes (N, C, H, W): of files, or of arrays (N, H, W[, C]).

    Raises `BadRows`.
    """
    assert preparation.pixels is not None
    channels, height, width = preparation.pixels.shape
    paths = _image_files(rows)
    if paths is not None:
        from tuner.training.data.image_source import read_images  # noqa: PLC0415 - loads Pillow

        if height != width:
            raise BadRows(f"images of {height} x {width} are needed as arrays, not as files")
        try:
            return read_images(paths, height, "L" if channels == 1 else "RGB")
        except BadData as error:
            raise BadRows(str(error)) from error
    array = np.asarray(rows)
    if array.ndim == 3 and channels == 1:
        array = array[..., None]
    if array.ndim == 2 and array.shape[1] == channels * height * width:
        array = array.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    wanted = (height, width, channels)
    if array.ndim != 4 or array.shape[1:] != wanted:
        raise BadRows(f"images of the shape {wanted} are needed, not {array.shape[1:]}")
    is_byte = array.dtype.kind in "biuf" and bool(
        ((array >= 0) & (array <= 255) & (array == np.round(array))).all()
    )
    if not is_byte:
        raise BadRows("pixels must be whole numbers from 0 to 255")
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)).astype(np.uint8)


def _image_files(rows: Any) -> list[Path] | None:
    """Return image files, of a folder or a list of paths; None for anything else."""
    if isinstance(rows, str | os.PathLike):
        return find_image_files(Path(rows))
    is_list = isinstance(rows, Sequence) and len(rows) > 0
    if is_list and all(isinstance(row, str | os.PathLike) for row in rows):
        return [Path(row) for row in rows]
    return None


def find_image_files(path: Path) -> list[Path]:
    """Return the file, or all image files below a folder, sorted; raises `BadRows`."""
    from tuner.training.data.image_source import images_in  # noqa: PLC0415 - of images alone

    files = images_in(path) if path.is_dir() else [path]
    if not files:
        raise BadRows(f"{path} holds no images")
    return files


def _as_arrow(rows: Any, preparation: Preparation) -> "pa.Table | None":
    """Return named columns as an Arrow table; None for an array."""
    is_file = isinstance(rows, str | os.PathLike)
    is_table = isinstance(rows, Mapping) or hasattr(rows, "__arrow_c_stream__")
    is_list = isinstance(rows, list) and bool(rows) and isinstance(rows[0], Mapping)
    if not (is_file or is_table or is_list):
        return None
    if is_file:
        return read_rows(Path(rows), preparation, preparation.form)
    from tuner.training.data import frames  # noqa: PLC0415 - loads pyarrow

    try:
        return frames.arrow_of(rows, "the call")
    except BadData as error:
        raise BadRows(str(error)) from error


def read_rows(path: Path, preparation: Preparation, form: Mapping[str, str]) -> "pa.Table":
    """Read a CSV or Parquet file; `form`: delimiter, encoding, decimal. Raises `BadRows`."""
    from tuner.training.data import arrow_files  # noqa: PLC0415 - loads pyarrow

    if not path.is_file():
        raise BadRows(f"there is no file {path}")
    try:
        if path.suffix == ".parquet":
            return arrow_files.read_parquet_files([path])[0]
        # Others than numbers stay text, as in training: 007 may be a category.
        as_text = [c.name for c in preparation.columns if c.kind is not ColumnType.NUMBER]
        return arrow_files.read_csv_files([path], form, as_text)[0]
    except BadData as error:
        raise BadRows(str(error)) from error


def _is_positional(arrow: "pa.Table", preparation: Preparation) -> bool:
    """Return whether a frame without names holds the values in the order of the columns."""
    n_columns = len(preparation.columns)
    return bool(arrow.column_names == [str(number) for number in range(n_columns)])


def _from_arrow(arrow: "pa.Table", preparation: Preparation) -> list[Column]:
    from tuner.training.data.columns import typed_column  # noqa: PLC0415 - loads pyarrow

    found: list[Column] = []
    for column in preparation.columns:
        if column.name not in arrow.column_names:
            guess = did_you_mean(column.name, arrow.column_names)
            raise BadRows(f"the rows lack column {column.name!r}{guess}")
        values = arrow.column(column.name)
        if values.null_count == len(values):
            found.append(_all_missing(column.name, column.kind, len(values)))
            continue
        try:
            found.append(typed_column(column.name, values, column.kind, column.date_format))
        except BadData as error:
            raise BadRows(f"{error} (the first row is row 1)") from error
    return found


def _all_missing(name: str, kind: ColumnType, n_rows: int) -> Column:
    if kind is ColumnType.CATEGORY:
        return Column(name=name, kind=kind, values_N=np.full(n_rows, MISSING))
    return Column(name=name, kind=kind, values_N=np.full(n_rows, np.nan))


def _matrix(rows: Any) -> Array:
    if hasattr(rows, "detach"):
        rows = rows.detach().cpu()
    try:
        # A copy: torch warns of read-only memory, such as a column of pandas.
        return np.array(rows, dtype=np.float64, ndmin=2)
    except (ValueError, TypeError) as error:
        raise BadRows("the rows are no array of numbers of one length") from error


def _from_array(rows_NF: Array, preparation: Preparation) -> list[Column]:
    columns = preparation.columns
    if rows_NF.ndim != 2 or rows_NF.shape[1] != len(columns):
        given = "x".join(map(str, rows_NF.shape))
        raise BadRows(f"rows of {len(columns)} features are needed, not {given}")
    others = [c for c in columns if c.kind not in (ColumnType.NUMBER, ColumnType.BOOLEAN)]
    if others:
        raise BadRows(
            f"column {others[0].name!r} is a {others[0].kind}, so that an array of numbers cannot "
            "hold it: give a frame, a dict of columns or a list of dicts"
        )
    return [
        Column(name=column.name, kind=column.kind, values_N=values_N)
        for column, values_N in zip(columns, rows_NF.T, strict=True)
    ]


def _check_values(columns: Sequence[Column], preparation: Preparation, *, is_lenient: bool) -> None:
    """Raise `BadRows` for values that the model cannot take, or that no training row showed."""
    numeric, categories = by_kind(columns)
    if preparation.numbers is not None:
        names, is_bad_NF = preparation.numbers.find_bad(numeric, with_missing=not is_lenient)
        rows = np.flatnonzero(is_bad_NF.any(1)).tolist()
        if rows:
            raise BadRows(_bad_rows(rows, is_bad_NF, names))
    for column, fitted in zip(categories, preparation.one_hot.columns, strict=True):
        is_unseen_N = fitted.places(column.categories)[column.values_N] < 0
        if not is_lenient and is_unseen_N.any():
            row = int(np.flatnonzero(is_unseen_N)[0])
            has_value = bool(column.values_N[row] != MISSING)
            what = "a category that no training row has" if has_value else "no value"
            raise BadRows(
                f"row {row}, counted from 0, has {what} in column {column.name!r}; leave such rows "
                "out, or predict as if the column named no category (is_lenient, --lenient)"
            )


def _bad_rows(rows: Sequence[int], is_bad_NF: Array, names: Sequence[str]) -> str:
    """Name the bad rows, counted from 0, and the first bad feature of the first one."""
    named = ", ".join(map(str, rows[:_MAX_NAMED]))
    more = f" and {len(rows) - _MAX_NAMED} more" if len(rows) > _MAX_NAMED else ""
    name = names[int(np.flatnonzero(is_bad_NF[rows[0]])[0])]
    return (
        f"row{'s' * (len(rows) > 1)} {named}{more} of {len(is_bad_NF)}, counted from 0: no value, "
        f"NaN, infinity or a number too large (row {rows[0]}: feature {name!r}); fill in missing "
        "values, since the training rows had none there, or let the model do so (is_lenient, "
        "--lenient)"
    )
