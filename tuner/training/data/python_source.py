"""`{python: data.py:load}`: a callable of the user that returns a table or arrays."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tuner.training.data.source import BadData, DataRequest

if TYPE_CHECKING:
    import pyarrow as pa

    from tuner.training.data.table import Table


class PythonSource:
    """Its content is not known before the callable runs, so that it runs every time."""

    def __init__(self, request: DataRequest, load: Callable[[], Any]) -> None:
        self._request = request
        self._call = load
        self._name = str(request.source["python"])

    def content(self) -> Mapping[str, str]:
        """Return the hash of the values."""
        return {"values": self._table.content_hash()}

    def read(self) -> "tuple[pa.Table, int] | None":
        """Return the table that the callable returned; None for arrays."""
        if self._has_arrays:
            return None
        from tuner.training.data.frames import arrow_of  # noqa: PLC0415 - loads pyarrow

        return arrow_of(self._given, self._name), 0

    def load(self) -> "Table":
        return self._table

    @cached_property
    def _given(self) -> Any:
        return self._call()

    @property
    def _has_arrays(self) -> bool:
        return isinstance(self._given, tuple) and len(self._given) == 2

    @cached_property
    def _table(self) -> "Table":
        read = self.read()
        if read is not None:
            from tuner.training.data.arrow_table import (  # noqa: PLC0415 - loads pyarrow
                build_table,
            )

            return build_table(read[0], self._request, name=self._name)
        for key in ("target", "drop", "weight", "types"):
            if self._request.source.get(key):
                raise BadData(
                    f"{self._name} returned arrays, which have no columns; remove `{key}:`"
                )
        from tuner.training.data.array_table import table_of_arrays  # noqa: PLC0415 - NumPy

        x, y = self._given
        return table_of_arrays(x, y, self._request.task, name=self._name)
