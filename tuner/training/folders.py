"""Folders and files that no other user may read or replace, written whole."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class UnsafeFolder(Exception):
    """A folder in which another user could change files; the message states the fix."""


def open_private_folder(path: Path) -> Path:
    """Create the folder (0700), or check that only its owner, this user, can write to it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private_folder(path)
    return path


def check_private_folder(path: Path) -> None:
    """Raise `UnsafeFolder` if another user could change files in it; `OSError`."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeFolder(f"{path} is not a folder of its own; choose another one")
    if status.st_uid != os.geteuid():
        raise UnsafeFolder(f"{path} belongs to another user; choose another folder")
    if status.st_mode & 0o022:
        raise UnsafeFolder(f"{path} can be written to by other users; run: chmod 700 {path}")


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_synced(handle: int, content: bytes) -> None:
    """Write everything to an open file, make it durable and close it."""
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file (0600) whose readers see the old content or the new one, never a mixture."""
    handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.rename(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


@contextmanager
def open_replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file, 0600, that gets its name at the end: complete and durable, or not at all."""
    handle, unfinished = tempfile.mkstemp(prefix=f".{path.stem}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def open_new(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, 0600, that is synced at the end; raises `FileExistsError`."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_new(path: Path, content: bytes) -> None:
    """Write a new file, 0600 and synced; raises `FileExistsError`."""
    with open_new(path) as file:
        file.write(content)
