"""`{python: data.py:load}`: a callable of the user that returns a table or arrays."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tuner.training.data.source import BadData, DataRequest

if TYPE_CHECKING:
    from tuner.training.data.table import Table


class PythonSource:
    """Its content is not known before the callable runs, so that it runs every time."""

    def __init__(self, request: DataRequest, load: Callable[[], Any]) -> None:
        self._request = request
        self._load = load
        self._table: Table | None = None

    def content(self) -> Mapping[str, str]:
        """Return the hash of the values."""
        import numpy as np  # noqa: PLC0415 - not needed for other sources

        return {"values": self.load().fingerprint({"all": np.arange(0)})}

    def load(self) -> "Table":
        if self._table is None:
            self._table = self._build(self._load())
        return self._table

    def _build(self, given: Any) -> "Table":
        name = str(self._request.source["python"])
        if isinstance(given, tuple) and len(given) == 2:
            if self._request.source.get("target") is not None:
                raise BadData(f"{name} returned arrays, which have no columns; remove `target:`")
            from tuner.training.data.array_table import table_of_arrays  # noqa: PLC0415 - NumPy

            return table_of_arrays(*given, self._request.task, name=name)
        from tuner.training.data.arrow_table import build_table  # noqa: PLC0415 - loads pyarrow
        from tuner.training.data.frames import arrow_of  # noqa: PLC0415 - loads pyarrow

        return build_table(arrow_of(given, name), self._request, name=name)
