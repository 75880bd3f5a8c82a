"""Tables in memory as Arrow tables: frames of any library, dicts of columns, lists of dicts."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tuner.training.data.source import BadData


def arrow_of(given: Any, name: str) -> pa.Table:
    """Return a frame of pandas or polars, an Arrow table, or columns by name as an Arrow table.

    Libraries hand their frames over as `__arrow_c_stream__`. Raises `BadData` for anything else.
    """
    try:
        if hasattr(given, "__arrow_c_stream__"):
            table = pa.table(given)
        elif isinstance(given, Mapping):
            table = pa.table({str(k): _column(name, str(k), v) for k, v in given.items()})
        elif isinstance(given, list) and given and all(isinstance(row, Mapping) for row in given):
            names = dict.fromkeys(str(key) for row in given for key in row)
            columns = {key: [row.get(key) for row in given] for key in names}
            table = pa.table({key: _column(name, key, v) for key, v in columns.items()})
        else:
            raise BadData(
                f"{name} returned {type(given).__name__}; return a table (Arrow, pandas, polars or "
                "a dict of columns) or a pair of arrays (x, y)"
            )
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadData(f"{name}: the columns of the table have different lengths") from error
    if not table.num_rows or not table.num_columns:
        raise BadData(f"{name} has no rows")
    return table.drop_columns([n for n in table.column_names if n.startswith("__index_level_")])


def _column(name: str, key: str, values: Any) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)  # NaN is a missing value
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadData(f"{name}: column {key!r} holds values of several types") from error
