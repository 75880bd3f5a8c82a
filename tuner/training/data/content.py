"""Hashes of files, computed once: kept by device, inode, size and time of the last change."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tuner.training.data.source import BadData
from tuner.training.folders import replace_file

_MAX_OTHERS = 10_000  # files of other data; the entries whose use is longest ago go first


class Hashes:
    """The sha256 of files on this machine, and the file that keeps them."""

    def __init__(self, path: Path, *, is_verified: bool = False) -> None:
        """Take `path`, where they are kept; `is_verified` hashes every file again."""
        self._path = path
        self._known: dict[str, str] = {} if is_verified else _load(path)

    def of(self, files: Iterable[Path]) -> Mapping[str, str]:
        """Return the hash of each file by its place in the order given; raises `BadData`."""
        found: dict[str, str] = {}
        used: dict[str, str] = {}
        is_new = False
        for number, file in enumerate(files):
            try:
                with file.open("rb") as opened:
                    status = os.fstat(opened.fileno())
                    key = f"{status.st_dev}.{status.st_ino}.{status.st_size}.{status.st_mtime_ns}"
                    known = used.get(key) or self._known.pop(key, None)
                    is_new |= known is None
                    used[key] = known or hashlib.file_digest(opened, "sha256").hexdigest()
            except OSError as error:
                raise BadData(f"{file} cannot be read: {error.strerror}") from error
            found[str(number)] = used[key]
        others = list(self._known.items())[-_MAX_OTHERS:]
        self._known = dict(others) | used  # the last used ones are last
        if is_new:
            replace_file(self._path, json.dumps(self._known).encode())
        return found


def _load(path: Path) -> dict[str, str]:
    """Return the known hashes; a file that is missing or damaged holds none."""
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
