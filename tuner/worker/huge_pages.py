"""Huge pages for the memory that a template shares with its workers.

A fork copies an entry for each page, and the end of the process removes them again: 38,000 entries
with torch loaded, most of what a fresh process costs. A huge page of 2 MB has one entry.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MADV_COLLAPSE = 25  # linux/mman.h, since 6.1; another kernel refuses it, and nothing changes
_HUGE_BYTES = 2 << 20
_ENTRY_BYTES = 8  # of a page in /proc/self/pagemap
_IS_PRESENT = 1 << 63  # in such an entry
_MIN_PRESENT = 0.75  # of a range: a huge page would fill its holes
# Workers that were forked before keep the old pages, so the memory exists twice until they end.
_MAX_RANGES = 128


class HugePages:
    """Ranges of this process's memory that become huge pages, one by one."""

    def __init__(self) -> None:
        """Find the memory that is allocated now; on systems other than Linux there is none."""
        self._left: list[int] = []
        if sys.platform == "linux":
            with suppress(OSError, ValueError):
                self._left = list(_ranges())[:_MAX_RANGES]

    @property
    def is_done(self) -> bool:
        return not self._left

    def take_next(self) -> bool:
        """Make the next range a huge page, for some milliseconds; return whether it is one now."""
        address = self._left.pop()
        with suppress(OSError, ValueError):
            return _share_present(address) >= _MIN_PRESENT and _collapse(address)
        return False


def _ranges() -> Iterator[int]:
    """Yield the addresses of aligned ranges in private memory that belongs to no file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, rights, _, _, _, *name = line.split(maxsplit=5)
        if rights == "rw-p" and name in ([], ["[heap]"]):
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            first = -(-start // _HUGE_BYTES) * _HUGE_BYTES
            yield from range(first, end - _HUGE_BYTES + 1, _HUGE_BYTES)


def _share_present(address: int) -> float:
    """Return the share of a range's pages that are in memory."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    n_pages = _HUGE_BYTES // page_bytes
    with open("/proc/self/pagemap", "rb", buffering=0) as table:
        table.seek(address // page_bytes * _ENTRY_BYTES)
        entries = struct.unpack(f"={n_pages}Q", table.read(n_pages * _ENTRY_BYTES))
    return sum(bool(entry & _IS_PRESENT) for entry in entries) / n_pages


def _collapse(address: int) -> bool:
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return bool(advise(address, _HUGE_BYTES, _MADV_COLLAPSE) == 0)
