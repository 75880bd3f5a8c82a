"""Processes of this machine, as Linux describes them under /proc."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_PROC = Path("/proc")
_GONE = "ZX"  # states of a process that has ended, even if its parent has not asked for its status


def started_at(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the boot; None if it is gone.

    A process id with its start identifies one process: the kernel reuses ids.
    """
    fields = _stat(pid)
    return None if fields is None or fields[0] in _GONE else int(fields[19])


def exists(pid: int) -> bool:
    """Return whether a process of this pid namespace runs; a zombie does not.

    Without /proc, it tries to signal the process.
    """
    if (_PROC / "self").exists():
        return started_at(pid) is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def environment_of(pid: int) -> Mapping[str, str]:
    """Return the environment that a process was started with; empty if it cannot be read."""
    try:
        content = (_PROC / str(pid) / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    pairs = (entry.partition("=") for entry in content.split("\0") if entry)
    return {name: value for name, _, value in pairs}


def with_variable(name: str, value: str) -> list[int]:
    """Return this user's processes that were started, or forked, with a variable of this value."""
    pids = [int(name) for name in os.listdir(_PROC) if name.isdigit()] if _PROC.exists() else []
    return [pid for pid in pids if environment_of(pid).get(name) == value and exists(pid)]


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process, without zombies."""
    listed = _PROC / str(pid) / "task" / str(pid) / "children"  # of its main thread
    try:
        return [int(child) for child in listed.read_text().split()]
    except OSError:  # some kernels have no such list
        return [child for child, parent in _parents() if parent == pid]


def descendants_of(pid: int) -> list[int]:
    """Return all living processes below a process, parents before their children."""
    return [found for found in with_descendants([pid]) if found != pid]


def with_descendants(pids: Iterable[int]) -> list[int]:
    """Return these processes and all living ones below them, parents before their children."""
    by_parent: dict[int, list[int]] = {}
    for child, parent in _parents():
        by_parent.setdefault(parent, []).append(child)
    found = list(dict.fromkeys(pids))
    for pid in found:  # which grows meanwhile
        found += [child for child in by_parent.get(pid, []) if child not in found]
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Yield every living process with its parent."""
    for name in os.listdir(_PROC):
        if name.isdigit():
            fields = _stat(int(name))
            if fields is not None and fields[0] not in _GONE:
                yield int(name), int(fields[1])


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name (state, parent, ...), or None."""
    try:
        content = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name stands in parentheses and may hold anything, parentheses included.
    return content.rpartition(b")")[2].decode().split() or None
