"""Folders as checkpoints: the regular files of a folder in one file, and back.

The file holds `FOLDER_MARK`, the length of a header in 8 bytes (little-endian), the header and the
contents one after the other. The header is a JSON list of [path, bytes, time of the last change in
ns] in the order of the contents. The format has no links, modes or owners that a prepared file
could misuse. What the files contain is not examined: they may be pickles, so only a study file
that trusts folders lets them be restored.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tuner.study.checkpoint import FOLDER_MARK
from tuner.training.checkpoint_file import BadCheckpoint, CheckpointFile
from tuner.training.folders import open_replacing
from tuner.training.lane import UnfitState

FOLDER_SUFFIX = ".folder"
MAX_FILES = 10_000
MAX_HEADER_BYTES = 2_000_000  # parsed, it takes 50 times as much memory at most
MAX_PATH_BYTES = 1024  # of a file, relative to the folder
MAX_PARTS = 32  # of a path
_MAX_NS = 2**63 - 1
_PIECE_BYTES = 1 << 20
_LENGTH_BYTES = 8


class FolderChanged(Exception):
    """The folder changed while it was copied; the copy is gone, and a later one may succeed."""


class _Entry(NamedTuple):
    path: str  # relative, with "/"
    n_bytes: int
    changed_ns: int


def is_folder_file(path: Path) -> bool:
    """Return whether a checkpoint holds a folder, by its first bytes; raises `OSError`."""
    with path.open("rb") as file:
        return file.read(len(FOLDER_MARK)) == FOLDER_MARK


def clear_folder(path: Path) -> None:
    """Make it an empty folder (0700), whatever it was before."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.mkdir(mode=0o700)


def pack_folder(folder: Path, spool: Path, name: str) -> CheckpointFile:
    """Write `<spool>/<name>.folder`, mode 0600: complete and durable, or not at all.

    Empty folders are not kept, nor are modes. Raises `UnfitState` for a link or a special file and
    for too many files, `FolderChanged`, and `OSError`.
    """
    entries = _listed(folder)
    path = spool / f"{name}{FOLDER_SUFFIX}"
    sha256 = hashlib.sha256()
    n_bytes = 0
    with open_replacing(path) as file:
        for piece in _pieces(folder, entries):
            sha256.update(piece)
            n_bytes += file.write(piece)
        if _listed(folder) != entries:
            raise FolderChanged(f"{folder} changed while it was copied")
    return CheckpointFile(path=path, sha256=sha256.hexdigest(), n_bytes=n_bytes)


def _listed(folder: Path) -> list[_Entry]:
    """Return the regular files below a folder, sorted by path."""
    if not folder.is_dir():
        raise UnfitState(f"a checkpoint needs a folder, and {folder} is none")
    entries = []
    try:
        for place, folders, files in os.walk(folder, onerror=_raise):
            for name in (*folders, *files):
                status = os.lstat(os.path.join(place, name))
                path = os.path.relpath(os.path.join(place, name), folder)
                if stat.S_ISREG(status.st_mode):
                    entries.append(_Entry(_checked(path), status.st_size, status.st_mtime_ns))
                elif not stat.S_ISDIR(status.st_mode):
                    what = "a link" if stat.S_ISLNK(status.st_mode) else "a special file"
                    raise UnfitState(
                        f"a folder as a checkpoint holds regular files; {path} is {what}"
                    )
            if len(entries) > MAX_FILES:
                raise UnfitState(f"a folder as a checkpoint holds at most {MAX_FILES:,} files")
    except FileNotFoundError as error:
        raise FolderChanged(f"{error.filename} disappeared while {folder} was copied") from error
    return sorted(entries)


def _raise(error: OSError) -> None:
    raise error


def _checked(path: str) -> str:
    """Return a path that can be stored; raise `UnfitState` for another one."""
    if not _is_storable(path):
        raise UnfitState(f"a folder as a checkpoint cannot hold the name {path[:100]!r}")
    return path


def _is_storable(path: object) -> bool:
    if not isinstance(path, str) or "\0" in path:
        return False
    parts = path.split("/")
    try:
        is_short = len(path.encode()) <= MAX_PATH_BYTES and len(parts) <= MAX_PARTS
    except UnicodeEncodeError:
        return False
    return is_short and not {"", ".", ".."} & set(parts)


def _pieces(folder: Path, entries: Sequence[_Entry]) -> Iterator[bytes]:
    """Yield the content of the checkpoint file."""
    header = json.dumps(entries, separators=(",", ":")).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise UnfitState("a folder as a checkpoint holds fewer files, or shorter names")
    yield FOLDER_MARK + len(header).to_bytes(_LENGTH_BYTES, "little") + header
    for entry in entries:
        left = entry.n_bytes
        with _open_regular(folder / entry.path) as file:
            while left and (piece := file.read(min(left, _PIECE_BYTES))):
                left -= len(piece)
                yield piece
        if left:
            raise FolderChanged(f"{entry.path} became shorter while it was copied")


@contextmanager
def _open_regular(path: Path) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise FolderChanged(f"{path} disappeared while it was copied") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FolderChanged(f"{path} is no regular file any more")
        yield file


def unpack_folder(path: Path, target: Path, *, sha256: str | None) -> None:
    """Make `target` a folder with the content of the checkpoint file; raises `BadCheckpoint`.

    `target` is absent or an empty folder. Its content appears at once, when all of it is there:
    regular files with mode 0600. `sha256` must be the file's, and is compared before anything is
    written; None if the caller has compared it. Raises `OSError` if the disk is full.
    """
    with _open_checked(path, sha256) as (file, entries):
        unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            for entry in entries:
                _write_entry(file, unfinished, entry)
            os.rename(unfinished, target)
        except BaseException as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if isinstance(error, FileExistsError | NotADirectoryError | EOFError):
                raise _bad(path, "its files do not fit each other") from error
            raise


def check_folder_file(path: Path) -> None:
    """Raise `BadCheckpoint` for a file that is not a whole folder of this format."""
    with _open_checked(path, None):
        pass


def _bad(path: Path, why: str) -> BadCheckpoint:
    return BadCheckpoint(f"checkpoint {path.name!r} cannot be read: {why}")


@contextmanager
def _open_checked(path: Path, sha256: str | None) -> Iterator[tuple[BinaryIO, list[_Entry]]]:
    """Open the file at the first content, with its entries; raises `BadCheckpoint`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        try:
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is not a regular file")
            if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ValueError("it is not the file that was written: its sha256 differs")
            file.seek(0)
            entries = _read_header(file, status.st_size)
        except (ValueError, TypeError, RecursionError, MemoryError) as error:
            raise _bad(path, str(error)) from error
        yield file, entries


def _read_header(file: BinaryIO, n_bytes: int) -> list[_Entry]:
    """Return the entries of a file; raises `ValueError` unless they account for every byte."""
    if file.read(len(FOLDER_MARK)) != FOLDER_MARK:
        raise ValueError("it is not a folder of this version of tuner")
    n_header = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    n_rest = n_bytes - len(FOLDER_MARK) - _LENGTH_BYTES - n_header
    if n_rest < 0 or n_header > MAX_HEADER_BYTES:
        raise ValueError("it is cut off, or its header claims more bytes than it has")
    entries = [_entry_of(entry) for entry in json.loads(file.read(n_header))]
    if len(entries) > MAX_FILES:
        raise ValueError("it holds too many files")
    if sum(entry.n_bytes for entry in entries) != n_rest:
        raise ValueError("its size differs from that of its files")
    return entries


def _entry_of(given: Any) -> _Entry:
    path, n_bytes, changed_ns = given
    if not _is_storable(path):
        raise ValueError("a name in it leads out of the folder, or is too long")
    for number in (n_bytes, changed_ns):
        if type(number) is not int or not 0 <= number <= _MAX_NS:
            raise ValueError("a number in its header is wrong")
    return _Entry(path, n_bytes, changed_ns)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_entry(file: BinaryIO, folder: Path, entry: _Entry) -> None:
    path = folder / entry.path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    left = entry.n_bytes
    with open(path, "xb", opener=_open_private) as written:
        while left:
            piece = file.read(min(left, _PIECE_BYTES))
            if not piece:
                raise EOFError
            left -= len(piece)
            written.write(piece)
    # Some programs choose the newest of several files.
    os.utime(path, ns=(entry.changed_ns, entry.changed_ns))
