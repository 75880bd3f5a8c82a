"""Cores and memory that this process may use, as limited by its cgroups.

A container or a Slurm job sees all cores and all memory of its machine in /proc, and is throttled
or killed at the limits of its cgroup. Sources: Linux kernel documentation, "Control Group v2"
(cpu.max, memory.max, memory.high, memory.stat) and "CGroups v1" (cpu.cfs_quota_us,
memory.limit_in_bytes).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024


@dataclass(frozen=True, kw_only=True)
class MemoryBytes:
    """Memory, in bytes."""

    total: int
    free: int  # without reclaimable parts, such as cached files


class Cgroups:
    """The cgroups of this process; the folders are for tests."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> None:
        self._root = root
        self._proc = proc

    def n_cores(self) -> int:
        """Return how many cores may be used at a time: at least 1, rounded down."""
        if hasattr(os, "sched_getaffinity"):
            n_cores = len(os.sched_getaffinity(0))
        else:
            n_cores = os.cpu_count() or 1
        quotas = [quota for folder in self._folders("cpu") if (quota := _cpu_quota(folder))]
        return max(1, int(min([n_cores, *quotas])))

    def memory(self) -> MemoryBytes:
        """Return the memory of the machine, or less if a cgroup has less.

        Raises `OSError` and `ValueError` if /proc lacks it.
        """
        total, free = self._of_machine("MemTotal"), self._of_machine("MemAvailable")
        for folder in self._folders("memory"):
            limit = _memory_limit(folder)
            if limit is not None and limit < total:
                total = limit
            if limit is not None:
                free = min(free, max(0, limit - _memory_in_use(folder)))
        return MemoryBytes(total=total, free=free)

    def n_oom_kills(self) -> int:
        """Return how many processes the kernel has ended in this cgroup for lack of memory."""
        found = []
        for folder in self._folders("memory"):
            for name in ("memory.events", "memory.oom_control"):
                words = _words(folder / name)
                counts = dict(zip(words[::2], words[1::2], strict=False))
                found.append(int(counts.get("oom_kill", "0")))
        return sum(found)

    def _of_machine(self, name: str) -> int:
        for line in (self._proc / "meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * _KIB
        raise ValueError(f"/proc/meminfo has no {name}")

    def _folders(self, controller: str) -> Iterator[Path]:
        """Yield this cgroup and those above it, each of which limits all below it."""
        try:
            lines = (self._proc / "self" / "cgroup").read_text().splitlines()
        except OSError:
            return
        for line in lines:
            number, controllers, path = [*line.split(":", 2), "", ""][:3]
            if not controllers and number == "0":
                yield from _upwards(self._root, path)
            elif controller in controllers.split(","):
                yield from _upwards(_first_folder(self._root, controllers, controller), path)


def _first_folder(root: Path, controllers: str, controller: str) -> Path:
    """Return the mount of a version 1 controller: alone or together with others."""
    names = (controllers, controller)
    return next((root / name for name in names if (root / name).is_dir()), root / controller)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Yield a cgroup's ancestors to the root, which in a container may be its own cgroup."""
    folder = mount / path.strip("/")
    while folder != mount and mount in folder.parents:
        yield folder
        folder = folder.parent
    yield mount


def _cpu_quota(folder: Path) -> float | None:
    """Return the limit in cores; None for no limit."""
    quota, period = [*_words(folder / "cpu.max"), "", ""][:2]
    if not quota:
        quota = "".join(_words(folder / "cpu.cfs_quota_us"))
        period = "".join(_words(folder / "cpu.cfs_period_us"))
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return None  # "max", or -1
    return int(quota) / int(period)


def _memory_limit(folder: Path) -> int | None:
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    limits = [int(word) for name in names for word in _words(folder / name) if word.isdigit()]
    return min(limits, default=None)


def _memory_in_use(folder: Path) -> int:
    """Return the used memory without inactive cached files."""
    names = ("memory.current", "memory.usage_in_bytes")
    used = [int(word) for name in names for word in _words(folder / name) if word.isdigit()]
    words = _words(folder / "memory.stat")
    stat = dict(zip(words[::2], words[1::2], strict=False))
    cached = stat.get("total_inactive_file", stat.get("inactive_file", "0"))
    return max(0, max(used, default=0) - int(cached))


def _words(file: Path) -> Sequence[str]:
    """Return the words of a small file; none if it cannot be read."""
    try:
        return file.read_text().split()
    except OSError:
        return ()
