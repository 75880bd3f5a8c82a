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
NULLS = ["", *_MARKS.split("|"), "None", "n/a", "nan", "null"]
_DELIMITERS = ";\t|"


def read_csv_files(files: Sequence[Path], asked: Mapping[str, Any]) -> pa.Table:
    """Read files of the same columns; `asked` holds delimiter, encoding and decimal."""
    check_files(files)
    return join([(file, _read_csv(file, asked)) for file in files])


def read_parquet_files(files: Sequence[Path]) -> pa.Table:
    check_files(files)
    return join([(file, _read_parquet(file)) for file in files])


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
        # A column that is text in one file is text in all of them.
        texts = [_as_text(table, _mixed(tables)) for table in tables]
        return pa.concat_tables(texts, promote_options="permissive")


def _read_csv(file: Path, asked: Mapping[str, Any]) -> pa.Table:
    encoding, delimiter = str(asked["encoding"]), str(asked["delimiter"])
    _check_options(encoding, delimiter)
    _check_head(file, encoding, delimiter)
    read = pa.csv.ReadOptions(encoding=encoding)
    convert = pa.csv.ConvertOptions(
        null_values=NULLS, strings_can_be_null=True, decimal_point=str(asked["decimal"])
    )
    try:
        # A line break in quotes may stand at the border of two blocks, which only this tells apart.
        parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=_has_quotes(file))
        table = pa.csv.read_csv(
            str(file), read_options=read, parse_options=parse, convert_options=convert
        )
    except (pa.ArrowException, UnicodeError) as error:
        raise BadData(_why_unreadable(file, encoding, delimiter, error)) from error
    if table.num_rows == 0:
        raise BadData(f"{file.name} has a header and no rows")
    table = _named(file, table, asked.get("drop"))
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        if pa.types.is_binary(kind):
            raise BadData(
                f"{file.name}: column {name!r} is not {encoding}; set `encoding:`, such as latin-1"
            )
    return table


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


def _check_head(file: Path, encoding: str, delimiter: str) -> None:
    """Check the header; raises `BadData`."""
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
    """Return the columns that are text in one of the tables."""
    return [
        name
        for name in tables[0].column_names
        if any(pa.types.is_string(table.schema.field(name).type) for table in tables)
    ]


def _as_text(table: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        index = table.column_names.index(name)
        table = table.set_column(index, name, table.column(name).cast(pa.string()))
    return table
