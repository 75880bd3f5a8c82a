"""`{csv: churn.csv, target: churned}` and `{parquet: ...}`: files with a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.training.data.content import Hashes
from tuner.training.data.files import find_files
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
        from tuner.training.data.arrow_files import join  # noqa: PLC0415 - loads pyarrow

        arrow = self._read(self._kind, self._files)
        if self._test is None:
            return arrow, 0
        test = self._read(self._test[0], self._test_files)
        return join([(self._files[0], arrow), (self._test_files[0], test)]), test.num_rows

    def _read(self, kind: str, files: Sequence[Path]) -> "pa.Table":
        from tuner.training.data import arrow_files  # noqa: PLC0415 - loads pyarrow

        if kind == "parquet":
            return arrow_files.read_parquet_files(files)
        return arrow_files.read_csv_files(files, self._request.source)
