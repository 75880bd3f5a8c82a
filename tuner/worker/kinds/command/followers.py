"""Files that a program adds to while they are read."""

import os
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from tuner.worker.programs.output import Lines

_CHUNK = 1 << 20  # bytes
_MAX_CHUNKS = 16  # of one look: verdicts are obeyed between two


class Follower:
    """The lines that are added to a file, which may not exist yet."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self._path, self._position = path, position
        self._lines = Lines()

    def new_lines(self, is_last: bool) -> Iterator[str]:
        """Yield the complete lines; with `is_last` also one that has no end."""
        n_chunks = 0
        while is_last or n_chunks < _MAX_CHUNKS:
            n_chunks += 1
            try:
                with self._path.open("rb") as file:
                    if os.fstat(file.fileno()).st_size < self._position:
                        self._position, self._lines = 0, Lines()  # it was written again
                    file.seek(self._position)
                    chunk = file.read(_CHUNK)
            except OSError:
                return
            if not chunk:
                break
            self._position += len(chunk)
            yield from self._lines.feed(chunk)
        if is_last:
            yield from self._lines.finish()


class Followers:
    """The lines that are added to all files of a pattern; what they had before is skipped."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._files = {
            name: Follower(Path(name), size) for name, (_, size) in looks_of(location).items()
        }

    def new_lines(self, is_last: bool) -> Iterator[tuple[str, str]]:
        for name in _matching(self._location):
            follower = self._files.setdefault(name, Follower(Path(name)))
            for line in follower.new_lines(is_last):
                yield name, line


def _matching(location: str) -> list[str]:
    return sorted(glob(location))


def looks_of(location: str) -> dict[str, tuple[int, int]]:
    """Return mtime (ns) and size of the files that exist, by name."""
    found = {}
    for name in _matching(location):
        try:
            status = os.stat(name)
        except OSError:
            continue
        found[name] = (status.st_mtime_ns, status.st_size)
    return found
