"""Reading of CSV and Parquet files into Arrow tables, with faults in one sentence.

Messages name files, lines and columns, never a cell: they may end up in the log of a job.
"""

import codecs
import csv
import gzip
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tuner.training.data.memory import check_files
from tuner.training.data.source import BadData

# As pandas reads them, and the question mark of the UCI repository.
_MARKS = "?|#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN"
NULLS = ["", " ", *_MARKS.split("|"), "None", "n/a", "nan", "null"]
_DELIMITERS = ";\t|"


def read_csv_files(
    files: Sequence[Path], asked: Mapping[str, Any], text_columns: Collection[str] = ()
) -> list[pa.Table]:
    """Read files of the same columns; `asked` holds delimiter, encoding and decimal.

    `text_columns` stay text: 007 is no number where it names a category. So does a column that is
    text in one of the files, or has another type there.
    """
    check_files(files)
    tables = [_read_csv(file, asked, text_columns) for file in files]
    mixed = {name for name in _mixed(tables) if name not in text_columns}
    if mixed:
        tables = [_read_csv(file, asked, {*text_columns, *mixed}) for file in files]
    return tables


def read_parquet_files(files: Sequence[Path]) -> list[pa.Table]:
    check_files(files)
    return [_read_parquet(file) for file in files]


def join(parts: Sequence[tuple[Path, pa.Table]]) -> pa.Table:
    """Return the rows of all tables in order; raises `BadData` for different columns."""
    (first_file, first), *others = parts
    for file, table in others:
        missing = [name for name in first.column_names if name not in table.column_names]
        more = [name for name in table.column_names if name not in first.column_names]
        if missing or more:
            what = f"lacks column {missing[0]!r}" if missing else f"has another column, {more[0]!r}"
            raise BadData(f"{file.name} {what}: it has other columns than {first_file.name}")
    tables = [table.select(first.column_names) for _, table in parts]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        # Files of different kinds: a column that differs is text in all of them.
        mixed = _mixed(tables)
        texts = [_as_text(table, mixed) for table in tables]
        return pa.concat_tables(texts, promote_options="permissive")


def _read_csv(file: Path, asked: Mapping[str, Any], text_columns: Collection[str]) -> pa.Table:
    encoding, delimiter = str(asked["encoding"]), str(asked["delimiter"])
    _check_options(encoding, delimiter)
    header = _read_header(file, encoding, delimiter)
    convert = pa.csv.ConvertOptions(
        null_values=NULLS,
        strings_can_be_null=True,
        decimal_point=str(asked["decimal"]),
        column_types={name: pa.string() for name in text_columns if name in header},
    )
    table = _parse(file, asked, convert, n_columns=len(header))
    if table.num_rows == 0:
        raise BadData(f"{file.name} has a header and no rows")
    table = _named(file, table, asked.get("drop"))
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_binary(kind):
            raise BadData(
                f"{file.name}: column {name!r} is not {encoding}; set `encoding:`, such as latin-1"
            )
    return table


def _parse(
    file: Path, asked: Mapping[str, Any], convert: pa.csv.ConvertOptions, *, n_columns: int
) -> pa.Table:
    """Parse the file; again if a cell in quotes may hold a line break, which takes longer."""
    encoding, delimiter = str(asked["encoding"]), str(asked["delimiter"])
    read = pa.csv.ReadOptions(encoding=encoding)
    has_quotes = _has_quotes(file)
    for has_breaks in (has_quotes, True):
        # An empty line of a single column is a row without a value.
        parse = pa.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=has_breaks, ignore_empty_lines=n_columns > 1
        )
        try:
            return pa.csv.read_csv(
                str(file), read_options=read, parse_options=parse, convert_options=convert
            )
        except (pa.ArrowException, UnicodeError) as error:
            if has_breaks:
                raise BadData(_why_unreadable(file, encoding, delimiter, error)) from error
    raise AssertionError("the second try returns or raises")


def _named(file: Path, table: pa.Table, dropped: Collection[str] | None) -> pa.Table:
    """Name columns without a name by their numbers; those of a study must be dropped.

    pandas and R write the index of a table so. `dropped` is None for rows that a model predicts.
    """
    names = [name.strip() and name for name in table.column_names]
    for place, name in enumerate(names):
        if not name:
            names[place] = f"column {place + 1}"
            if dropped is not None and names[place] not in dropped:
                raise BadData(
                    f"{file.name}: column {place + 1} has no name in the first line, as an index "
                    f"that a program has saved; write `drop: [{names[place]}]`, or name it"
                )
    return table.rename_columns(names)


def _read_parquet(file: Path) -> pa.Table:
    try:
        table = pa.parquet.read_table(str(file))
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file.name} is not a Parquet file, or damaged") from error
    if table.num_rows == 0:
        raise BadData(f"{file.name} has no rows")
    _check_names(file, table.column_names)
    return table


def _check_options(encoding: str, delimiter: str) -> None:
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise BadData(f"unknown encoding {encoding!r}; examples: utf-8, latin-1, utf-16") from None
    if len(delimiter.encode()) != 1:
        raise BadData(f"the delimiter {delimiter!r} must be one character")


def _read_header(file: Path, encoding: str, delimiter: str) -> list[str]:
    """Return the names of the columns; raises `BadData`."""
    begin = _begin(file, 4)
    if not begin:
        raise BadData(f"{file.name} is empty")
    if begin[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and "16" not in encoding:
        raise BadData(f"{file.name} is UTF-16; set `encoding: utf-16`")
    if begin[:4] == b"PAR1":
        raise BadData(f"{file.name} is a Parquet file; write {{parquet: {file.name}}}")
    try:
        with _open_text(file, encoding) as text:
            header = next(csv.reader(text, delimiter=delimiter), [])
    except (UnicodeError, csv.Error) as error:
        raise BadData(_why_unreadable(file, encoding, delimiter, error)) from error
    _check_names(file, header)
    others = [mark for mark in _DELIMITERS if len(header) == 1 and mark in header[0]]
    if others and others[0] != delimiter:
        mark = "a tab" if others[0] == "\t" else repr(others[0])
        written = '"\\t"' if others[0] == "\t" else f'"{others[0]}"'
        raise BadData(
            f"{file.name} has a single column whose name holds {mark}; set `delimiter: {written}`"
        )
    return header


def _check_names(file: Path, names: Sequence[str]) -> None:
    if not any(name.strip() for name in names):
        raise BadData(f"{file.name}: the first line names no columns")
    seen: set[str] = set()
    for name in filter(str.strip, names):
        if name in seen:
            raise BadData(f"{file.name}: two columns are named {name!r}; rename one")
        seen.add(name)


def _why_unreadable(file: Path, encoding: str, delimiter: str, error: Exception) -> str:
    """Find the first line that does not fit: Arrow's own message would show its cells."""
    try:
        with _open_text(file, encoding) as text:
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            header = next(reader, [])
            for row in reader:
                if row and len(row) != len(header):
                    return (
                        f"{file.name}, line {reader.line_num}: {len(row)} cells, and the header "
                        f"has {len(header)}"
                    )
    except UnicodeError:
        return f"{file.name} is not {encoding}; set `encoding:`, such as latin-1"
    except csv.Error as fault:
        return f"{file.name}, line {reader.line_num}: {fault}"
    except (OSError, EOFError):
        return f"{file.name} cannot be read: it is damaged or not gzip"
    return f"{file.name} cannot be read as CSV: {type(error).__name__}"


def _has_quotes(file: Path) -> bool:
    """Return whether the file begins with cells in quotes."""
    return b'"' in _begin(file, 2**20)


def _begin(file: Path, n_bytes: int) -> bytes:
    try:
        with _open(file) as opened:
            return opened.read(n_bytes)
    except (OSError, EOFError) as error:
        raise BadData(f"{file.name} cannot be read: it is damaged or not gzip") from error


def _open(file: Path) -> IO[bytes]:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _open_text(file: Path, encoding: str) -> IO[str]:
    codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    return io.TextIOWrapper(_open(file), encoding=codec, newline="")


def _mixed(tables: Sequence[pa.Table]) -> list[str]:
    """Return the columns that have different types in the tables, other than numbers."""
    found = []
    for name in tables[0].column_names:
        kinds = {table.schema.field(name).type for table in tables if name in table.column_names}
        kinds.discard(pa.null())
        if len(kinds) > 1 and not all(_is_number(kind) for kind in kinds):
            found.append(name)
    return found


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _as_text(table: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        index = table.column_names.index(name)
        table = table.set_column(index, name, table.column(name).cast(pa.string()))
    return table
