"""A check that data fit in memory, before they are read."""

from collections.abc import Iterable
from pathlib import Path

from tuner.cgroups import Cgroups
from tuner.training.data.source import BadData

_GROWTH = 3  # bytes of memory for a byte of the data while they are prepared
_GZIP = 6  # bytes in a byte of a compressed file


def check_files(files: Iterable[Path]) -> None:
    """Raise `BadData` for files that do not fit in memory."""
    check_bytes(sum(f.stat().st_size * (_GZIP if f.suffix == ".gz" else 1) for f in files))


def check_bytes(n_bytes: int) -> None:
    """Raise `BadData` for data of this size that do not fit in memory."""
    free = Cgroups().memory().free
    if n_bytes * _GROWTH > free:
        raise BadData(
            f"the data take about {n_bytes * _GROWTH / 1e9:.1f} GB of memory to prepare, and "
            f"{free / 1e9:.1f} GB are free: use fewer rows or columns, or a machine with more"
        )
