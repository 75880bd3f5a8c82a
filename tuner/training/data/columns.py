"""Typed columns from the columns of an Arrow table.

Messages name columns and rows, never a cell. Rows count from 1; the header is none.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tuner.study_file.data.sources import ColumnType
from tuner.training.data.source import BadData
from tuner.training.data.table import MISSING, Array, Column, is_number_text, row_of

_MAX_TEXTS = 1000  # different texts of a column that is taken for categories unasked
_MAX_SHARE = 0.5  # of the rows that may have a text of their own
_MOST = 0.8  # of the texts that look like numbers or dates
_FEW_ROWS = 20  # tables without a limit on the share
_DAY = 86_400_000_000  # microseconds
_DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
_YES, _NO = ("true", "yes", "y", "t", "1", "1.0"), ("false", "no", "n", "f", "0", "0.0")


def infer_type(name: str, values: pa.ChunkedArray) -> ColumnType:
    """Return the type that follows from Arrow's; raises `BadData` for a column without values."""
    kind = values.type
    if values.null_count == len(values):
        raise BadData(f"column {name!r} has no values; add it to `drop:`")
    if pa.types.is_boolean(kind):
        return ColumnType.BOOLEAN
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return ColumnType.DATE
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if is_number or pa.types.is_time(kind) or pa.types.is_duration(kind):
        return ColumnType.NUMBER
    if _is_text(kind):
        return ColumnType.DATE if _are_iso_dates(values) else ColumnType.CATEGORY
    raise BadData(f"column {name!r} holds {kind}, which is no feature; add it to `drop:`")


def check_texts(name: str, column: Column) -> None:
    """Raise `BadData` for text with too many values to be categories."""
    n_rows, n_texts = len(column.values_N), len(column.categories)
    is_many = n_texts > _MAX_TEXTS or (n_rows >= _FEW_ROWS and n_texts > _MAX_SHARE * n_rows)
    if is_many:
        raise BadData(
            f"column {name!r} is text with {n_texts:,} different values in {n_rows:,} rows; "
            + _advice(name, column.categories)
        )


def _advice(name: str, texts: Sequence[str]) -> str:
    """Return the likely fix for text with many values, by what most of the texts look like."""
    n_numbers = sum(map(is_number_text, texts))
    if n_numbers >= _MOST * len(texts):
        return f"most of them are numbers: `types: {{{name}: number}}` names the first other row"
    if sum(is_number_text(text.replace(",", ".", 1)) for text in texts) >= _MOST * len(texts):
        return 'most of them are numbers with a comma; set `decimal: ","`'
    sample = pa.chunked_array([pa.array(texts[:1000])])
    for form in _DATE_FORMATS:
        parsed = pc.strptime(sample, format=form, unit="us", error_is_null=True)
        if len(parsed) - parsed.null_count >= _MOST * len(sample):
            return f"most of them are dates; write `types: {{{name}: date}}`"
    return (
        f"add it to `drop:`, or write `types: {{{name}: category}}` to use its most frequent values"
    )


def typed_column(
    name: str, values: pa.ChunkedArray, kind: ColumnType, date_format: str = ""
) -> Column:
    """Convert a column; raises `BadData` for values that are not of this type.

    `date_format` is that of dates as text, if it is known.
    """
    if values.null_count == len(values):
        raise BadData(f"column {name!r} has no values; add it to `drop:`")
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    match kind:
        case ColumnType.NUMBER:
            return Column(name=name, kind=kind, values_N=_numbers(name, values))
        case ColumnType.BOOLEAN:
            return Column(name=name, kind=kind, values_N=_booleans(name, values))
        case ColumnType.DATE:
            return _dates(name, values, date_format)
        case ColumnType.CATEGORY:
            return _category(name, values)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _are_iso_dates(texts: pa.ChunkedArray) -> bool:
    """Return whether all texts are dates as a CSV file would have them: YYYY-MM-DD."""
    if pa.types.is_dictionary(texts.type):
        texts = texts.cast(texts.type.value_type)
    first = pc.strptime(texts.slice(0, 20), format=_DATE_FORMATS[0], unit="us", error_is_null=True)
    if first.null_count > texts.slice(0, 20).null_count:
        return False
    parsed = pc.strptime(texts, format=_DATE_FORMATS[0], unit="us", error_is_null=True)
    return bool(parsed.null_count == texts.null_count)


def _numbers(name: str, values: pa.ChunkedArray) -> Array:
    kind = values.type
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        values = values.cast(pa.int64() if kind.bit_width == 64 else pa.int32())
    if _is_text(kind):
        values = pc.utf8_trim_whitespace(values)
    try:
        numbers_N = _floats(values.cast(pa.float64()))
    except pa.ArrowException:
        bad = _first_text(values) if _is_text(kind) else f"holds {kind} instead of numbers"
        raise BadData(f"column {name!r} {bad}") from None
    is_infinite_N = np.isinf(numbers_N)
    if is_infinite_N.any():
        raise BadData(f"column {name!r} holds infinity in {row_of(is_infinite_N)}")
    return numbers_N


def _booleans(name: str, values: pa.ChunkedArray) -> Array:
    if not pa.types.is_boolean(values.type):
        texts = pc.utf8_lower(values.cast(pa.string()))
        is_yes = pc.is_in(texts, value_set=pa.array(_YES))
        is_no = pc.is_in(texts, value_set=pa.array(_NO))
        is_bad = pc.and_(pc.invert(pc.or_(is_yes, is_no)), pc.is_valid(texts))
        if pc.any(is_bad).as_py():
            bad = row_of(is_bad.to_numpy())
            raise BadData(f"column {name!r} is no boolean in {bad}: use true/false, yes/no or 1/0")
        values = pc.if_else(pc.is_valid(texts), is_yes, None)
    return _floats(values.cast(pa.int8()).cast(pa.float64()))


def _dates(name: str, values: pa.ChunkedArray, date_format: str) -> Column:
    """Return days since 1970-01-01, with the time of day as a fraction."""
    if pa.types.is_integer(values.type) or _is_text(values.type):
        values, date_format = _parse_dates(name, values.cast(pa.string()), date_format)
    elif not (pa.types.is_date(values.type) or pa.types.is_timestamp(values.type)):
        raise BadData(f"column {name!r} holds {values.type} instead of dates")
    is_missing_N = pc.is_null(values).to_numpy()
    stamps = values.cast(pa.timestamp("us")).cast(pa.int64()).fill_null(0).to_numpy()
    days_N = np.where(is_missing_N, np.nan, stamps / _DAY)
    return Column(name=name, kind=ColumnType.DATE, values_N=days_N, date_format=date_format)


def _parse_dates(
    name: str, texts: pa.ChunkedArray, date_format: str
) -> tuple[pa.ChunkedArray, str]:
    """Return dates and their format, empty for ISO dates with a time."""
    found: dict[str, pa.ChunkedArray] = {}
    for form in [date_format] if date_format else _DATE_FORMATS:
        parsed = pc.strptime(texts, format=form, unit="us", error_is_null=True)
        if parsed.null_count == texts.null_count:
            found[form] = parsed
    if found:
        form, dates = next(iter(found.items()))
        if all(other.equals(dates) for other in found.values()):
            return dates, form
        raise BadData(
            f"column {name!r} can be read as day/month and as month/day; write dates as YYYY-MM-DD"
        )
    try:
        return texts.cast(pa.timestamp("us")), date_format
    except pa.ArrowException:
        form = date_format or _best_format(texts)
        parsed = pc.strptime(texts, format=form, unit="us", error_is_null=True)
        is_bad_N = pc.and_(parsed.is_null(), texts.is_valid()).to_numpy()
        raise BadData(
            f"column {name!r} holds text that is no date in {row_of(is_bad_N)}; write dates as "
            "YYYY-MM-DD, or as YYYY-MM-DD HH:MM:SS"
        ) from None


def _best_format(texts: pa.ChunkedArray) -> str:
    """Return the format that most of the texts have."""
    n_bad = {
        form: pc.strptime(texts, format=form, unit="us", error_is_null=True).null_count
        for form in _DATE_FORMATS
    }
    return min(n_bad, key=lambda form: n_bad[form])


def _category(name: str, values: pa.ChunkedArray) -> Column:
    """Number the different values by their order as text; numbers keep theirs."""
    if pa.types.is_floating(values.type):
        whole = values.cast(pa.int64(), safe=False)
        if pc.all(pc.equal(whole.cast(values.type), values)).as_py() is not False:
            values = whole  # 3.0 is the category "3"
    encoded = values.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    kinds = encoded.dictionary
    order = pc.sort_indices(kinds).to_numpy()
    places_C = np.empty(len(order) + 1, dtype=np.int32)
    places_C[order] = np.arange(len(order))
    places_C[-1] = MISSING
    numbers_N = encoded.indices.cast(pa.int64()).fill_null(len(order)).to_numpy()
    texts = kinds.cast(pa.string()).to_pylist()
    return Column(
        name=name,
        kind=ColumnType.CATEGORY,
        values_N=places_C[numbers_N],
        categories=tuple(texts[place] for place in order),
    )


def _floats(values: pa.ChunkedArray) -> Array:
    """Return floats, NaN for null."""
    return np.asarray(values.to_numpy(), dtype=np.float64)


def _first_text(texts: pa.ChunkedArray) -> str:
    """Name the first row that is no number."""
    for row, text in enumerate(texts.to_pylist(), 1):
        if text is not None and not is_number_text(text):
            return f"is no number in row {row:,}"
    return "holds text instead of numbers"
