"""`{csv: churn.csv, target: churned}` and `{parquet: ...}`: files with a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.training.data.content import Hashes
from tuner.training.data.files import CSV_FORM, find_files
from tuner.training.data.source import DataRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from tuner.training.data.table import Table


class TableSource:
    """The rows of all files in order, those of a test file last."""

    def __init__(self, request: DataRequest, hashes: Hashes) -> None:
        """Find the files; raises `BadData`."""
        self._request = request
        self._hashes = hashes
        kind = "csv" if "csv" in request.source else "parquet"
        self._kind, self._path = kind, str(request.source[kind])
        self._files = find_files(self._path, request.folder)
        test = request.split.get("test")
        self._test = next(iter(test.items())) if isinstance(test, Mapping) else None
        self._read: tuple[pa.Table, int] | None = None
        self._test_files = find_files(self._test[1], request.folder) if self._test else []

    def content(self) -> Mapping[str, str]:
        hashes = self._hashes.of([*self._files, *self._test_files])
        return {**hashes, "test_files": str(len(self._test_files))}

    def load(self) -> "Table":
        from tuner.training.data.arrow_table import build_table  # noqa: PLC0415 - loads pyarrow

        arrow, n_test = self.read()
        name = Path(self._path).name if len(self._files) == 1 else self._path
        return build_table(arrow, self._request, name=name, n_test=n_test)

    def read(self) -> "tuple[pa.Table, int]":
        """Return all rows as they are in the files, and how many of them are from a test file."""
        if self._read is None:
            from tuner.training.data.arrow_files import join  # noqa: PLC0415 - loads pyarrow

            tables = self._read_all()
            n_test = sum(table.num_rows for table in tables[len(self._files) :])
            files = [*self._files, *self._test_files]
            self._read = join(list(zip(files, tables, strict=True))), n_test
        return self._read

    def _read_all(self) -> "list[pa.Table]":
        """Return the tables of all files; those of one kind are typed alike."""
        test_kind = self._test[0] if self._test else self._kind
        if test_kind == self._kind:
            return self._read_files(self._kind, [*self._files, *self._test_files])
        return [
            *self._read_files(self._kind, self._files),
            *self._read_files(test_kind, self._test_files),
        ]

    def _read_files(self, kind: str, files: Sequence[Path]) -> "list[pa.Table]":
        from tuner.training.data import arrow_files  # noqa: PLC0415 - loads pyarrow

        if kind == "parquet":
            return arrow_files.read_parquet_files(files)
        source = {**CSV_FORM, **self._request.source}
        types = self._request.source.get("types") or {}
        as_text = [name for name, asked in types.items() if asked != "number"]
        return arrow_files.read_csv_files(files, source, as_text)
