"""The table of all sources of data sets, by the key that names them in `objective.data`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.training.data.content import Hashes
from tuner.training.data.source import BadData, DataRequest, Source

LoadCode = Callable[[str, str], Callable[[], Any]]  # (name, folder) -> the user's callable


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The means of this machine to open a source."""

    hashes: Hashes
    load_code: LoadCode


def open_source(request: DataRequest, machine: Machine) -> Source:
    """Open the source of a request; raises `BadData`."""
    kinds = [kind for kind in request.source if kind in _SOURCES]
    if not kinds:
        raise BadData(f"no data source in {sorted(request.source)}; sources: {', '.join(_SOURCES)}")
    return _SOURCES[kinds[0]](request, machine)


# Imported on demand: most of them load a package of their own.
def _sklearn(request: DataRequest, machine: Machine) -> Source:
    from tuner.training.data.sklearn_source import SklearnSource  # noqa: PLC0415 - one of several

    return SklearnSource(request.source["sklearn"])


def _table(request: DataRequest, machine: Machine) -> Source:
    from tuner.training.data.table_source import TableSource  # noqa: PLC0415 - one of several

    return TableSource(request, machine.hashes)


def _npz(request: DataRequest, machine: Machine) -> Source:
    from tuner.training.data.npz_source import NpzSource  # noqa: PLC0415 - one of several

    return NpzSource(request, machine.hashes)


def _images(request: DataRequest, machine: Machine) -> Source:
    from tuner.training.data.image_source import ImageSource  # noqa: PLC0415 - one of several

    return ImageSource(request, machine.hashes)


def _idx(request: DataRequest, machine: Machine) -> Source:
    from tuner.training.data.idx_source import IdxSource  # noqa: PLC0415 - one of several

    return IdxSource(request, machine.hashes)


def _python(request: DataRequest, machine: Machine) -> Source:
    from tuner.training.data.python_source import PythonSource  # noqa: PLC0415 - one of several

    name = str(request.source["python"])
    return PythonSource(request, machine.load_code(name, request.code_folder))


_SOURCES: Mapping[str, Callable[[DataRequest, Machine], Source]] = {
    "sklearn": _sklearn,
    "csv": _table,
    "parquet": _table,
    "npz": _npz,
    "images": _images,
    "idx": _idx,
    "python": _python,
}
